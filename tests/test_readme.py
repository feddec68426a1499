"""The pages that describe the settings say what the code says."""

from pathlib import Path

import pytest

from aws_lambda_post_runner.invocation import Invocation, Outcome, Settled, command_environment
from aws_lambda_post_runner.settings import VARIABLES, Variable

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "src" / "aws_lambda_post_runner" / "REFERENCE.md").read_text(encoding="utf-8")


def settings_row(variable: Variable[object]) -> str:
    """One line of the reference's table of settings."""
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.name}` | {default} | {variable.meaning} | {variable.valid} |"


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_each_setting_stands_in_the_reference(variable: Variable[object]) -> None:
    assert settings_row(variable) in REFERENCE


def test_each_variable_of_the_command_stands_in_the_reference() -> None:
    invocation = Invocation("id", "", 1, "arn", "trace", "tenant")
    files = {"event": "/e", "response": "/r"}
    for name in command_environment({}, Settled(invocation, Outcome.ERROR, "Error"), 1.0, files, "failed"):
        assert f"| `{name}` |" in REFERENCE
