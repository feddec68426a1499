"""The table of the runtime clients has the rows and columns that the tests know, and is made as it should be."""

import pytest

from .interop.clients import CLIENTS, Check
from .interop.matrix import (
    ABSENT,
    BROKEN,
    CLIENTS_TABLE,
    HELD,
    NEIGHBOURS_TABLE,
    PAGE,
    Marks,
    Matrix,
    neighbours_table,
    table_in,
    with_table,
)
from .interop.neighbours import Neighbour


def cells_in(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows_in(table: list[str]) -> list[list[str]]:
    """The cells of each row, the heading first."""
    heading, _, *rows = (cells_in(line) for line in table if line.startswith("|"))
    return [heading, *rows]


TEXT = PAGE.read_text(encoding="utf-8")
WRITTEN = rows_in(table_in(TEXT, CLIENTS_TABLE))


def test_the_tables_rows_and_columns_are_the_clients_and_checks_that_the_tests_know() -> None:
    heading, *rows = WRITTEN
    assert heading[1:] == list(Check)
    assert [row[0] for row in rows] == [client.name for client in CLIENTS]


def test_every_cell_holds_but_where_a_client_has_no_means() -> None:
    expected = [[ABSENT if check in client.cannot else HELD for check in Check] for client in CLIENTS]
    assert [row[1:] for row in WRITTEN[1:]] == expected


@pytest.mark.parametrize("outcomes", [("passed", "failed"), ("failed", "passed"), ("failed", "skipped")])
def test_a_cell_that_is_broken_once_stays_so(outcomes: tuple[str, str]) -> None:
    matrix = Matrix()
    for outcome in outcomes:
        matrix.note("a client", "a check", outcome)
    assert rows_in(matrix.lines(["a client"], ["a check"]))[1] == ["a client", BROKEN]


def test_what_is_skipped_is_told_with_its_reason_and_what_did_not_run_with_that() -> None:
    matrix = Matrix()
    matrix.note("Ruby, Net::HTTP", "streams", "skipped", "it does not")
    lines = matrix.lines(["Ruby, Net::HTTP", "Go"], ["streams"])
    assert lines[2:] == [
        f"| Ruby, Net::HTTP | {ABSENT} |",
        "| Go | not run |",
        "",
        f"{ABSENT}: it does not (Ruby).",
    ]


def test_the_table_of_the_neighbours_is_the_one_of_a_run_in_which_each_works() -> None:
    matrix = Matrix()
    for neighbour in Neighbour:
        matrix.note(neighbour, "works", "passed")
    assert rows_in(table_in(TEXT, NEIGHBOURS_TABLE)) == rows_in(neighbours_table(matrix))


@pytest.mark.parametrize("marks", [CLIENTS_TABLE, NEIGHBOURS_TABLE])
def test_only_what_stands_between_the_marks_is_written(marks: Marks) -> None:
    table = table_in(TEXT, marks)
    assert with_table(TEXT, marks, table) == TEXT
    written = with_table(TEXT, marks, ["| new |"])
    assert table_in(written, marks) == ["| new |"]
    assert with_table(written, marks, table) == TEXT
