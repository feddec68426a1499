"""Two tables of what was seen to hold, made by the run: `pytest -p tests.interop.matrix`.

One has the runtime clients, with a column for each thing that is seen; the other has what functions have beside us.
The run prints both at its end; with `--write-matrix` it also puts them into the page of the tests, between their marks.
A test belongs to a cell if it has recorded the properties `row` and `column`.
"""

import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .clients import CLIENTS, Check
from .neighbours import HOW, UNTESTED, Neighbour

PAGE = Path(__file__).parent.parent / "README.md"

HELD, BROKEN, ABSENT = "yes", "**no**", "–"  # noqa: RUF001 - a dash stands for what there is not
NOT_RUN = "not run"
TOGETHER = "works"
"""The column of the second table."""


@dataclass(frozen=True)
class Marks:
    """The lines between which a table stands on the page."""

    begin: str
    end: str


def _marks(name: str) -> Marks:
    by_whom = "written by `nox -s interop -- --write-matrix`"
    return Marks(f"<!-- the {name}, {by_whom} -->", f"<!-- the end of the {name} -->")


CLIENTS_TABLE = _marks("table of the clients")
NEIGHBOURS_TABLE = _marks("table of the neighbours")


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

    def cell(self, row: str, column: str) -> str:
        """What was seen there."""
        return self.cells.get((row, column), NOT_RUN)

    def lines(self, rows: Iterable[str], columns: Sequence[str]) -> list[str]:
        """A table of Markdown, and why there is nothing in which cells."""
        table = [f"| client | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
        for row in rows:
            cells = (self.cell(row, column) for column in columns)
            table.append(f"| {row} | {' | '.join(cells)} |")
        return [*table, "", *self._told_reasons()] if self.reasons else table

    def _told_reasons(self) -> list[str]:
        rows_of: dict[str, list[str]] = {}
        for row, reason in self.reasons:
            rows_of.setdefault(reason, []).append(row.partition(",")[0])
        told = [f"{reason} ({', '.join(sorted(set(rows)))})" for reason, rows in sorted(rows_of.items())]
        return [f"{ABSENT}: {'; '.join(told)}."]


def table_in(page: str, marks: Marks) -> list[str]:
    """The lines between the two marks. Raises ValueError if a mark is missing."""
    lines = page.splitlines()
    return lines[lines.index(marks.begin) + 1 : lines.index(marks.end)]


def with_table(page: str, marks: Marks, table: Sequence[str]) -> str:
    """The page with these lines between the two marks. Raises ValueError if a mark is missing."""
    lines = page.splitlines()
    begin, end = lines.index(marks.begin), lines.index(marks.end)
    return "\n".join([*lines[: begin + 1], *table, *lines[end:], ""])


def clients_table(matrix: Matrix) -> list[str]:
    """The table of all clients."""
    return matrix.lines([client.name for client in CLIENTS], list(Check))


def neighbours_table(matrix: Matrix) -> list[str]:
    """The table of all that is beside us: how it is set up, whether it works, and what nobody has tried."""
    return [
        f"| with | {TOGETHER} | how to set it up |",
        "| --- | --- | --- |",
        *(f"| {each} | {matrix.cell(each, TOGETHER)} | {HOW[each]} |" for each in Neighbour),
        *(f"| {each.name} | untested | {each.why} |" for each in UNTESTED),
    ]


class Reporter:
    """Fills the matrix from the reports of the tests, of those as well that other processes ran."""

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes
        self._matrix = Matrix()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test has shown: its call, or that it did not come to that."""
        told: Mapping[str, object] = dict(report.user_properties)
        if "row" in told and (report.when == "call" or not report.passed):
            self._matrix.note(str(told["row"]), str(told["column"]), report.outcome, reason_of(report))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the tables of which something was seen, and write them if that is wanted."""
        day = ["", f"Seen on {time.strftime('%Y-%m-%d')}, on {platform.machine()}."]
        for marks, table in self._seen_tables():
            terminalreporter.section("what was seen to hold")
            terminalreporter.write_line("\n".join([*table, *day]))
            if self._writes:
                page = PAGE.read_text(encoding="utf-8")
                PAGE.write_text(with_table(page, marks, [*table, *day]), encoding="utf-8")

    def _seen_tables(self) -> Iterator[tuple[Marks, list[str]]]:
        columns = {column for _, column in self._matrix.cells}
        if columns & set(Check):
            yield CLIENTS_TABLE, clients_table(self._matrix)
        if TOGETHER in columns:
            yield NEIGHBOURS_TABLE, neighbours_table(self._matrix)


def reason_of(report: pytest.TestReport) -> str:
    """Why a test was skipped; empty if it was not."""
    match report.longrepr:
        case (_, _, str(reason)) if report.skipped:
            return reason.removeprefix("Skipped: ")
    return ""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes."""
    parser.addoption(
        "--write-matrix", action="store_true", help="write the tables into the page of the tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the reports, where they come together."""
    if not hasattr(config, "workerinput"):  # xdist's mark of a process that only runs tests
        config.pluginmanager.register(Reporter(writes=config.getoption("write_matrix")))
