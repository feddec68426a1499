"""The matrix of clients and of what was seen to hold with each, made by the run: `pytest -p tests.interop.matrix`.

The run prints it at its end; with `--write-matrix` it also puts it into the page of the tests, between two marks.
A test belongs to a cell if it has recorded the properties `row` and `column`, as the fixture `client` does.
"""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .clients import CLIENTS, Check

PAGE = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- the matrix, written by `nox -s interop -- --write-matrix` -->"
END = "<!-- the end of the matrix -->"

HELD, BROKEN, ABSENT = "yes", "**no**", "–"  # noqa: RUF001 - a dash stands for what there is not


@dataclass
class Matrix:
    """What has been seen so far."""

    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    reasons: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """For each row and reason, the columns in which there is nothing to see."""

    def note(self, row: str, column: str, outcome: str, reason: str = "") -> None:
        """Keep the outcome of a test, as pytest names it; a cell that is broken once stays so."""
        if self.cells.get((row, column)) == BROKEN:
            return
        self.cells[row, column] = {"passed": HELD, "skipped": ABSENT}.get(outcome, BROKEN)
        if outcome == "skipped":
            self.reasons.setdefault((row, reason), []).append(column)

    def lines(self, rows: Iterable[str], columns: Sequence[str]) -> list[str]:
        """The matrix as a table of Markdown, and why there is nothing in which cells."""
        table = [f"| client | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
        for row in rows:
            cells = (self.cells.get((row, column), "not run") for column in columns)
            table.append(f"| {row} | {' | '.join(cells)} |")
        return [*table, "", *self._told_reasons()] if self.reasons else table

    def _told_reasons(self) -> list[str]:
        rows_of: dict[str, list[str]] = {}
        for row, reason in self.reasons:
            rows_of.setdefault(reason, []).append(row.partition(",")[0])
        told = [f"{reason} ({', '.join(dict.fromkeys(rows))})" for reason, rows in rows_of.items()]
        return [f"{ABSENT}: {'; '.join(told)}."]


def table_in(page: str) -> list[str]:
    """The lines between the two marks. Raises ValueError if a mark is missing."""
    lines = page.splitlines()
    return lines[lines.index(BEGIN) + 1 : lines.index(END)]


def with_table(page: str, table: Sequence[str]) -> str:
    """The page with these lines between the two marks. Raises ValueError if a mark is missing."""
    lines = page.splitlines()
    begin, end = lines.index(BEGIN), lines.index(END)
    return "\n".join([*lines[: begin + 1], *table, *lines[end:], ""])


def full_table(matrix: Matrix, day: str) -> list[str]:
    """The table of all clients, with where and when it was seen."""
    rows, columns = [client.name for client in CLIENTS], [str(check) for check in Check]
    return [*matrix.lines(rows, columns), "", f"Seen on {day}, on {platform.machine()}."]


class Reporter:
    """Fills the matrix from the reports of the tests, of those as well that other processes ran."""

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes
        self._matrix = Matrix()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test has shown: its call, or that it did not come to that."""
        told: Mapping[str, object] = dict(report.user_properties)
        if "row" in told and (report.when == "call" or not report.passed):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ") if report.skipped else ""  # type: ignore[index]
            for column in str(told["column"]).split(";"):
                self._matrix.note(str(told["row"]), column, report.outcome, reason)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the matrix, and write it if that is wanted."""
        if not self._matrix.cells:
            return
        table = full_table(self._matrix, time.strftime("%Y-%m-%d"))
        terminalreporter.section("the clients")
        terminalreporter.write_line("\n".join(table))
        if self._writes:
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(with_table(page, table), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes."""
    parser.addoption(
        "--write-matrix", action="store_true", help="write the matrix into the page of the tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the reports, where they come together."""
    if not hasattr(config, "workerinput"):  # xdist's mark of a process that only runs tests
        config.pluginmanager.register(Reporter(writes=config.getoption("write_matrix")))
