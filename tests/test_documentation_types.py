"""The Python that the pages show for the helper is what mypy takes for right, as strict as it can be."""

import re
from pathlib import Path

import pytest

mypy = pytest.importorskip("mypy.api", reason="run by `nox -s types`, which brings mypy")

ROOT = Path(__file__).parent.parent
PAGES = [page for page in ROOT.glob("**/*.md") if not any(part.startswith(".") for part in page.parts)]

BEFORE = "from typing import Any\n\nasync def send_mail(user: Any) -> None: ...\n\n"
"""What the examples take for given."""

AS_PEOPLE_WRITE = ["--config-file=", "--strict", "--allow-untyped-defs", "--check-untyped-defs"]
"""Handlers are seldom annotated, and that is their authors' business."""


def examples() -> list[str]:
    """All of the Python on the pages that uses the helper and can stand alone."""
    found = [
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL) for page in PAGES
    ]
    return [example for page in found for example in page if "import post_runner" in example]


def test_the_pages_show_how_the_helper_is_used() -> None:
    assert examples()


@pytest.mark.parametrize("example", examples())
def test_each_example_has_the_right_types(example: str) -> None:
    said, problems, status = mypy.run([*AS_PEOPLE_WRITE, "-c", BEFORE + example])
    assert status == 0, said + problems
