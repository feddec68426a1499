"""The page of integrations shows what the examples have, and every example is one of its rows."""

import re
from pathlib import Path

import pytest

import post_runner

from .conftest import EXAMPLES
from .obtain import APPS

ROWS = re.findall(
    r"^\| (?!you use|---)(.*) \| (.*) \|$",
    (Path(post_runner.__file__).parent / "README.md").read_text(),
    re.MULTILINE,
)
SOURCES = [
    path.read_text(errors="replace")
    for folder in (EXAMPLES, APPS)
    for path in folder.rglob("*")
    if path.is_file()
]


@pytest.mark.parametrize(("used", "added"), ROWS)
def test_the_code_of_each_row_is_in_an_example(used: str, added: str) -> None:
    code = re.match(r"`([^`]+)`", added)
    assert code, used
    assert [source for source in SOURCES if code[1] in source], used
