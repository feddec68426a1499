"""Which words are ours, which are the handler's; flags, and what is loaded for what."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.settings import VARIABLES, Mode

PATIENCE = 30


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Start us with these words and without a Runtime API, so that a handler takes our place."""
    return subprocess.run(
        [sys.executable, "-m", "aws_lambda_post_runner", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["echo", "-n", "--help", "run"], "--help run"),
        (["run", "--", "echo", "-n", "--help"], "--help"),
        (["run", "--", "run-this"], None),
        (["run", "--mode", "AfterError", "--", "echo", "--mode"], "--mode\n"),
        (["run", "echo", "--mode", "x"], "--mode x\n"),
    ],
)
def test_the_handlers_words_stay_the_handlers(words: list[str], output: str | None) -> None:
    ended = run(*words)
    if output is None:
        assert ended.returncode == 127
        assert "run-this: No such file or directory" in ended.stderr
    else:
        assert (ended.returncode, ended.stdout) == (0, output)


def test_without_a_runtime_api_the_handler_takes_our_place_unchanged() -> None:
    ended = run("sh", "-c", "echo $$ $FOO; exit 7", FOO="kept")
    assert ended.stdout.split()[1] == "kept"
    assert ended.returncode == 7


def test_disabled_with_a_reason_says_so_and_steps_aside() -> None:
    ended = run(
        "sh",
        "-c",
        "echo $AWS_LAMBDA_RUNTIME_API",
        AWS_LAMBDA_RUNTIME_API="127.0.0.1:1",
        AWS_LAMBDA_POST_RUNNER_DISABLED="an incident",
    )
    assert ended.stdout == "127.0.0.1:1\n"
    assert "an incident" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("word", "meant"), [("hlep", "--help"), ("help", "--help"), ("dve", "dev"), ("chekc", "check")]
)
def test_a_word_that_is_nearly_ours_is_asked_about(word: str, meant: str) -> None:
    ended = run(word, "x")
    assert ended.returncode == 127
    assert f"did you mean {meant}?" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_handler_whose_name_is_nearly_ours_is_run(tmp_path: Path) -> None:
    program = tmp_path / "dve"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    assert run("dve", PATH=f"{tmp_path}:{os.environ['PATH']}").stdout == "mine\n"
    assert run(str(program)).stdout == "mine\n"


def test_the_version_tells_the_build() -> None:
    assert run("--version").stdout == f"aws-lambda-post-runner {__version__} (source)\n"


def test_a_flag_wins_over_its_variable() -> None:
    ended = run(
        "run",
        "--mode",
        "nonsense",
        "--",
        "true",
        AWS_LAMBDA_RUNTIME_API="127.0.0.1:1",
        AWS_LAMBDA_POST_RUNNER_COMMAND="true",
        AWS_LAMBDA_POST_RUNNER_MODE="AfterError",
    )
    assert ended.returncode == 1
    assert "AWS_LAMBDA_POST_RUNNER_MODE is 'nonsense'" in ended.stderr


def test_every_setting_is_a_flag_of_run() -> None:
    text = run("run", "--help", COLUMNS="200").stdout
    for variable in VARIABLES:
        assert "--" + variable.name.lower().replace("_", "-") in text
        assert variable.full_name in text


@pytest.mark.parametrize("command", ["run", "dev", "invoke", "check", "template", "verify"])
def test_each_help_has_an_example_and_names_for_values(command: str) -> None:
    text = run(command, "--help", COLUMNS="200").stdout
    assert f"Example: aws-lambda-post-runner {command} " in text
    of_switches = [line for line in text.splitlines() if "bool>" in line and "--help" not in line]
    assert not of_switches
    assert "TEXT" not in text


def test_help_has_every_mode() -> None:
    text = run("run", "--help", COLUMNS="200").stdout
    assert all(mode.value in text for mode in Mode)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("dev --mode After", "AfterError"),
        ("run --mode AfterError,", "AfterError,OnRequest"),
        ("template sam --runtime nodejs", "nodejs24.x"),
        ("template ", "terraform"),
        ("invoke --example ", "sqs"),
        ("dev --log-level ", "debug"),
    ],
)
def test_a_shell_can_complete_values(words: str, value: str) -> None:
    line = f"aws-lambda-post-runner {words}"
    completing = {
        "_AWS_LAMBDA_POST_RUNNER_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    code = (
        "import sys; from aws_lambda_post_runner.cli.app import app; app(prog_name='aws-lambda-post-runner')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | completing,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert value in done.stdout.split()


def test_without_words_we_say_what_we_do() -> None:
    ended = run()
    assert "Run work after an AWS Lambda function has answered" in ended.stdout


@pytest.mark.parametrize("words", [["sh", "-c", "exit 0"], ["run", "--", "sh", "-c", "exit 0"]])
def test_the_drop_in_form_loads_no_command_line(words: list[str]) -> None:
    look = (
        "import sys; from aws_lambda_post_runner.entry import main; "
        f"sys.argv[1:] = {words!r}; main(); "
        "print(*sorted({'typer', 'click', 'rich', 'pydantic', 'h11', 'trio'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_LAMBDA_POST_RUNNER_COMMAND": "true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert ended.stdout == "h11 trio\n"


def test_a_build_without_the_command_line_says_so() -> None:
    look = (
        "import sys; sys.modules['typer'] = None; from aws_lambda_post_runner.entry import main; "
        "sys.argv[1:] = ['dev']; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 2
    assert "this build (source) only runs handlers" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["dev", "--event", "{}", "--svg", "/no/such/folder/" + "x" * 80 + "/timeline.svg", "--", "true"],
        ["template", "sam", "--command", "true", "--mode", "never"],
    ],
    ids=["dev", "template"],
)
def test_what_is_wrong_is_one_line_where_nobody_sits_at_a_terminal(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: Invalid value for ")]
    assert "│" not in done.stderr
