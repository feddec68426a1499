"""`invoke` sends events to a running function and prints what came back."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aws_lambda_post_runner.cli.invoke import invoke as invoke_command
from aws_lambda_post_runner.dev.examples import Example, read_example
from aws_lambda_post_runner.dev.testing import RunningFunction

from .test_dev_function import options

app = typer.Typer()
app.command()(invoke_command)


@pytest.fixture(scope="module")
def function() -> Iterator[RunningFunction]:
    """A function that returns its event."""
    with RunningFunction(options()) as function:
        yield function


def run_invoke(function: RunningFunction, *arguments: str, text: str | None = None) -> Result:
    port = function.address.rpartition(":")[2]
    return CliRunner().invoke(app, [*arguments, "--port", port], input=text)


def test_the_answer_goes_to_stdout_and_the_latency_to_stderr(function: RunningFunction) -> None:
    done = run_invoke(function, "--event", '{"n": 1}')
    assert done.exit_code == 0
    assert done.stdout == '{"n": 1}\n'
    assert done.stderr.startswith("200 after ")


def test_an_event_can_come_from_a_file_or_from_standard_input(
    function: RunningFunction, tmp_path: Path
) -> None:
    (tmp_path / "event.json").write_text('{"from": "file"}')
    assert run_invoke(function, "--event", f"@{tmp_path}/event.json").stdout == '{"from": "file"}\n'
    assert run_invoke(function, "--event", "-", text='{"from": "stdin"}').stdout == '{"from": "stdin"}\n'
    assert run_invoke(function).stdout == "{}\n"


@pytest.mark.parametrize("example", list(Example))
def test_an_example_is_an_event_as_the_service_sends_it(function: RunningFunction, example: Example) -> None:
    done = run_invoke(function, "--example", example.value)
    assert json.loads(done.stdout) == json.loads(read_example(example))


def test_many_can_be_sent_at_once_and_are_summed_up(function: RunningFunction) -> None:
    done = run_invoke(function, "--event", "7", "--repeat", "8", "--parallel", "4")
    assert done.exit_code == 0
    assert done.stdout == "7\n" * 8
    assert "8 answers: fastest " in done.stderr


def test_a_caller_need_not_wait(function: RunningFunction) -> None:
    done = run_invoke(function, "--no-wait")
    assert done.exit_code == 0
    assert done.stdout == "\n"
    assert done.stderr.startswith("202 after ")


def test_a_function_error_is_a_failure(function: RunningFunction) -> None:
    done = run_invoke(function, "--event", '{"do": "fail"}')
    assert done.exit_code == 1
    assert json.loads(done.stdout)["errorType"] == "AsTold"
    assert "function error" in done.stderr


def test_an_answer_that_is_cut_short_is_a_failure(function: RunningFunction, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    event = {"do": "stream", "parts": ["one", "CUT"], "wait_for": str(tmp_path / "gate")}
    done = run_invoke(function, "--event", json.dumps(event))
    assert done.exit_code == 1
    assert done.stdout == "one"
    assert "cut short" in done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(function: RunningFunction) -> None:
    port = function.address.rpartition(":")[2]
    words = ["invoke", "--port", port, "--event", json.dumps("x" * 100_000), "--repeat", "50"]
    with subprocess.Popen(
        [sys.executable, "-m", "aws_lambda_post_runner", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) == 128 + signal.SIGPIPE
    assert all(line.startswith("200 after ") for line in said.splitlines()), said


def test_where_nothing_listens_the_way_out_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = CliRunner().invoke(app, ["--port", str(port), "--repeat", "3"])
    assert done.exit_code == 1
    assert done.stderr.count("aws-lambda-post-runner dev") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--event", "{"], ["--event", "@/no/such/file"], ["--event", "1", "--example", "s3"], ["--repeat", "0"]],
)
def test_wrong_options_are_refused(function: RunningFunction, arguments: list[str]) -> None:
    assert run_invoke(function, *arguments).exit_code == 2
