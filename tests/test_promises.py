"""Each promise that the page of the tests makes is stated by tests that exist."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS / "README.md").read_text(encoding="utf-8")

HEADING = re.compile(r"^## .*\]\((?P<file>[\w/]+\.py)\)$")
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| (?P<tests>[^|]*) \|$")


@dataclass(frozen=True)
class Promise:
    """A row of the page."""

    text: str
    file: str
    tests: tuple[str, ...]


def read_promises(page: str) -> list[Promise]:
    """The rows below each heading that links to a file of tests."""
    promises: list[Promise] = []
    file = ""
    for line in page.splitlines():
        if heading := HEADING.match(line):
            file = heading["file"]
        elif file and (row := ROW.match(line)) and row["promise"] not in ("promise", "---"):
            promises.append(Promise(row["promise"], file, tuple(re.findall(r"`(\w+)`", row["tests"]))))
    return promises


def names_in(file: str) -> set[str]:
    """The names of the test functions that stand in a file."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


PROMISES = read_promises(PAGE)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.text)
def test_a_promise_names_tests_that_exist(promise: Promise) -> None:
    assert promise.tests, "it names none"
    assert set(promise.tests) <= names_in(promise.file)


def test_every_row_below_a_heading_is_read() -> None:
    """So that none escapes because it is not of the form that is read."""
    _, _, table = PAGE.partition("\n# Promises\n")
    rows = [line for line in table.splitlines() if line.startswith("|")]
    headings = [line for line in table.splitlines() if line.startswith("## ")]
    assert len(PROMISES) == len(rows) - 2 * len(headings)


def test_a_row_that_names_no_test_or_one_that_is_missing_is_found() -> None:
    page = "## Here: [`test_promises.py`](test_promises.py)\n\n| promise | tests |\n| --- | --- |\n"
    none, missing = read_promises(page + "| a | |\n| a |  |\n| b | `test_that_nobody_wrote` |\n")
    assert none.tests == ()
    assert not set(missing.tests) <= names_in(missing.file)
