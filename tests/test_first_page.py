"""The first page is short, its links lead somewhere, and what it shows was run."""

import re
from pathlib import Path

import pytest

from aws_lambda_post_runner.settings import VARIABLES

ROOT = Path(__file__).parent.parent
FIRST = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    page
    for page in ROOT.glob("**/*.md")
    if not {"node_modules", "dist", "build", ".venv", ".nox", ".pytest_cache"} & {*page.parts}
]

LONGEST = 9 * 1024
"""Bytes; more than that is not read to its end."""

RUN_ELSEWHERE = {
    "nox -s demo": "the session itself",
    "nox -s lint types tests coverage": "whoever runs the tests",
    "pip install": "tests/interop/test_first_page.py",
    "dev --mode WaitUntil": "tests/interop/test_first_page.py",
}
"""What each of the page's shell blocks is known by, and where it is run."""


def links_of(page: Path) -> list[str]:
    """Every link of a page that leads to another place in the tree."""
    found = re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text(encoding="utf-8")))
    return [target for target in found if "://" not in target]


def blocks(language: str) -> list[str]:
    """The first page's code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", FIRST, re.DOTALL | re.MULTILINE)


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_first_page_is_short() -> None:
    assert len(FIRST.encode()) < LONGEST


@pytest.mark.parametrize(
    ("page", "target"),
    [(str(page.relative_to(ROOT)), target) for page in PAGES for target in links_of(page)],
)
def test_each_link_of_each_page_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    there = (ROOT / page).parent / path if path else ROOT / page
    assert there.exists()
    if anchor:
        assert anchor in _anchors(there)


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.splitlines()[0])
def test_each_shell_block_is_run_somewhere_or_has_settings_that_exist(block: str) -> None:
    known = {variable.full_name for variable in VARIABLES} | {"AWS_LAMBDA_EXEC_WRAPPER"}
    names = set(re.findall(r"^(AWS_\w+)=", block, re.MULTILINE))
    assert names <= known
    assert names or any(command in block for command in RUN_ELSEWHERE)


def test_there_is_one_handler_in_each_language_to_be_run() -> None:
    """`tests/interop/test_first_page.py` runs the handlers and lints the image's file."""
    assert [len(blocks(language)) for language in ("python", "js", "dockerfile")] == [1, 1, 1]
