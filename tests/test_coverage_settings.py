"""All of the code is measured: a line that is left out gives its reason, and of the relay and the polls none is."""

import re
import tomllib
from pathlib import Path

import pytest

import aws_lambda_post_runner

PACKAGE = Path(aws_lambda_post_runner.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
EXCLUDED = [*PROJECT["tool"]["coverage"]["report"]["exclude_also"], r"#\s*pragma:\s*no"]
MODULES = [*PACKAGE.parent.glob("*_runner/**/*.py")]


@pytest.mark.parametrize("room", ["polls", "relay"])
def test_nothing_of_it_is_kept_from_being_measured(room: str) -> None:
    text = (PACKAGE / "proxy" / f"{room}.py").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if any(re.search(each, line) for each in EXCLUDED)] == []


def test_a_line_that_is_kept_from_being_measured_gives_its_reason() -> None:
    lines = [line for path in MODULES for line in path.read_text(encoding="utf-8").splitlines()]
    mute = [line for line in lines if re.search(r"#\s*pragma:\s*no\s*(cover|branch)\s*$", line)]
    assert mute == []
