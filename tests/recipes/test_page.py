"""The page of recipes shows what the files have."""

import re
from pathlib import Path

import aws_lambda_post_runner

RECIPES = Path(aws_lambda_post_runner.__file__).parent / "recipes"


def test_all_python_on_the_page_is_in_the_files() -> None:
    page = (RECIPES / "README.md").read_text()
    files = "".join(path.read_text() for path in RECIPES.glob("*.py"))
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippets) == 3
    assert [snippet for snippet in snippets if snippet not in files] == []


def test_every_file_is_on_the_page() -> None:
    page = (RECIPES / "README.md").read_text()
    assert [path.name for path in RECIPES.glob("[a-z]*.py") if path.name not in page] == []
