"""What the page about the laptop shows can be typed as it stands."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from aws_lambda_post_runner.cli.app import app

from .test_pytest_plugin import run_pytest

PAGE = (Path(__file__).parents[1] / "src/aws_lambda_post_runner/dev/README.md").read_text(encoding="utf-8")
PROGRAM = "aws-lambda-post-runner"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def commands() -> list[list[str]]:
    """The arguments of each line that starts us."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(f"{PROGRAM} ")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_is_one_that_we_take(words: list[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    if words == ["--install-completion"]:
        assert "install_completion" in {each.name for each in group.params}
        return
    command = group.commands[words[0]]
    assert command.make_context(words[0], words[1:]).params


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_first_handler_answers_under_dev(tmp_path: Path, language: str) -> None:
    if language == "python":
        pytest.importorskip("awslambdaric")
    elif shutil.which("node") is None:
        pytest.skip("node is not installed")
    (tmp_path / {"python": "app.py", "js": "app.mjs"}[language]).write_text(blocks(language)[0])
    words = next(words for words in commands() if "--event" in words and words[0] == "dev")
    done = subprocess.run(
        [sys.executable, "-m", "aws_lambda_post_runner", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello Ada" in done.stdout
    assert "│ done" in done.stdout


def test_the_test_that_is_shown_passes(tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric")
    handler, test = blocks("python")
    (tmp_path / "app.py").write_text(handler)
    (tmp_path / "test_app.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
