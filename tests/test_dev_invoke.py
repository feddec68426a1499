"""`invoke` sends events to a running function and prints what came back."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aws_lambda_post_runner.cli.invoke import invoke as invoke_command
from aws_lambda_post_runner.dev.examples import Example, read_example
from aws_lambda_post_runner.dev.latency import BINS
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


def test_of_many_the_cold_starts_are_told_apart_from_the_percentiles() -> None:
    with RunningFunction(options()) as fresh:
        done = run_invoke(fresh, "--event", "7", "--repeat", "12")
    assert "12 answers: fastest " in done.stderr
    for name in ("p50", "p90", "p99", "slowest"):
        assert f", {name} " in done.stderr
    assert "1 of them waited for the handler to start: " in done.stderr
    assert "answers a second, no errors" in done.stderr
    assert done.stderr.count(" to ") >= BINS


def test_json_has_each_answer_and_all_of_them_together(function: RunningFunction) -> None:
    done = run_invoke(function, "--event", '{"do": "fail"}', "--repeat", "3", "--json")
    assert done.exit_code == 1
    assert not done.stderr
    result = json.loads(done.stdout)
    assert result["answers"] == 3
    assert result["failures"] == {"the function failed: AsTold": 3}
    assert [each["status"] for each in result["sent"]] == [200] * 3
    assert len({each["requestId"] for each in result["sent"]}) == 3
    assert all(json.loads(each["body"])["errorType"] == "AsTold" for each in result["sent"])


def test_a_file_or_standard_input_can_be_named_by_an_option_of_its_own(
    function: RunningFunction, tmp_path: Path
) -> None:
    (tmp_path / "event.json").write_text('{"from": "file"}')
    assert run_invoke(function, "--file", f"{tmp_path}/event.json").stdout == '{"from": "file"}\n'
    assert run_invoke(function, "--file", "-", text='{"from": "stdin"}').stdout == '{"from": "stdin"}\n'


def test_failures_that_are_alike_are_said_once_with_their_number(function: RunningFunction) -> None:
    done = run_invoke(function, "--event", '{"do": "fail"}', "--repeat", "3")
    assert done.stderr.splitlines()[-1] == "3 times: the function failed: AsTold"


def test_a_terminal_shows_how_far_it_is_and_then_the_sums(function: RunningFunction) -> None:
    port = function.address.rpartition(":")[2]
    words = ["invoke", "--port", port, "--event", "7", "--repeat", "30"]
    seen = seen_on_a_terminal([sys.executable, "-m", "aws_lambda_post_runner", *words])
    assert "/30" in seen
    assert "30 answers: fastest " in seen
    assert "200 after" not in seen


def seen_on_a_terminal(argv: list[str]) -> str:
    """Run a program in a terminal of its own and return all that it wrote there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        parts = []
        with suppress(OSError):  # EIO: nobody has the other end any more
            while part := os.read(ours, 65536):
                parts.append(part)
        os.close(ours)
        assert process.wait(30) == 0
    return b"".join(parts).decode()


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
    [
        ["--event", "{"],
        ["--event", "@/no/such/file"],
        ["--event", "1", "--example", "s3"],
        ["--repeat", "0"],
        ["--event", "1", "--file", "-"],
        ["--file", "/no/such/file"],
    ],
)
def test_wrong_options_are_refused(function: RunningFunction, arguments: list[str]) -> None:
    assert run_invoke(function, *arguments).exit_code == 2


def test_a_port_that_is_none_is_refused() -> None:
    assert CliRunner().invoke(app, ["--port", "99999"]).exit_code == 2
