"""`dev` as people use it: its output, its exit status, and that Ctrl-C leaves nothing behind."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio
import typer
from trio.testing import MockClock
from typer.testing import CliRunner

from aws_lambda_post_runner.cli.dev import dev
from aws_lambda_post_runner.cli.options import WithSettings
from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.moments import Moment, Recorder
from aws_lambda_post_runner.dev.session import listen, open_session
from aws_lambda_post_runner.settings import PREFIX

DEV = [sys.executable, "-m", "aws_lambda_post_runner", "dev"]
HANDLER = (sys.executable, str(Path(__file__).with_name("dev_handler.py")))
LIMIT_S = 30.0


def environ(command: str = "true", **more: str) -> dict[str, str]:
    return os.environ | {f"{PREFIX}COMMAND": command} | more


def run_dev(
    *arguments: str,
    command: str = "true",
    handler: Sequence[str] = HANDLER,
    text: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*DEV, *arguments, "--", *handler],
        env=environ(command),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def events(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_each_invocation_is_shown_with_its_answer_its_command_and_its_poll() -> None:
    done = run_dev("--event", '{"n": 1}', "--invocations", "2", command="exit 0")
    assert done.returncode == 0, done.stderr
    assert "curl -d '{}' http://127.0.0.1:" in done.stdout
    for number in (1, 2):
        assert f"✓ #{number} " in done.stdout
    for label in ("init", "handler", "answer", "post work", "next poll", "frozen"):
        assert re.search(rf"^  {label} ", done.stdout, re.MULTILINE), label
    assert "exit 0" in done.stdout
    assert '→ {"n": 1}' in done.stdout
    assert "2 invocations, answered after" in done.stdout
    assert done.stdout.isascii() is False
    assert "\x1b" not in done.stdout


def test_json_is_one_event_a_line_in_the_order_of_time() -> None:
    done = run_dev("--event", "{}", "--json")
    assert done.returncode == 0
    names = [event["event"] for event in events(done.stdout)]
    expected = ["sent", "handed", "settled", "post-command-started", "post-command-ended", "ended", "frozen"]
    assert [name for name in names if name in expected] == expected
    assert names.index("answered") < names.index("ended")
    ids = {event["requestId"] for event in events(done.stdout) if "requestId" in event}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("event", "command"),
    [('{"do": "fail"}', "true"), ('{"do": "exit", "status": 1}', "true"), ("{}", "exit 3")],
)
def test_a_failed_invocation_or_command_makes_it_exit_with_1(event: str, command: str) -> None:
    done = run_dev("--event", event, command=command)
    assert done.returncode == 1
    assert "✗ #1 " in done.stdout
    assert "1 failed" in done.stdout


def test_a_cut_answer_makes_it_exit_with_1(tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    event = {"do": "stream", "parts": ["one", "CUT"], "wait_for": str(tmp_path / "gate")}
    done = run_dev("--event", json.dumps(event))
    assert done.returncode == 1
    assert "cut short" in done.stdout


def test_a_crash_shows_what_the_handler_wrote_once() -> None:
    done = run_dev("--event", "{}", handler=[*HANDLER, "exit-at-once"])
    assert done.returncode == 1
    assert done.stdout.count("I cannot start") == 1
    assert done.stdout.count("handler started") == 1


def test_the_event_can_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"from": "file"}')
    assert '{"from": "file"}' in run_dev("--event", f"@{tmp_path}/event.json").stdout
    assert '{"from": "stdin"}' in run_dev("--event", "-", text='{"from": "stdin"}').stdout


def test_the_timeout_can_be_given() -> None:
    done = run_dev("--event", '{"do": "sleep", "seconds": 600}', "--function-timeout", "500ms")
    assert done.returncode == 1
    assert "Task timed out after 0.50 s" in done.stdout


def test_without_the_runner_nothing_runs_after_the_answer() -> None:
    done = run_dev("--event", "{}", "--no-runner", command="echo never")
    assert done.returncode == 0
    assert "without the post runner" in done.stdout
    assert "post work " not in done.stdout
    assert "never" not in done.stdout


def test_several_can_be_taken_at_once() -> None:
    done = run_dev("--event", "{}", "--invocations", "6", "--concurrency", "4", handler=[*HANDLER, "fork"])
    assert done.returncode == 0, done.stdout
    assert "6 invocations" in done.stdout
    assert "frozen" not in done.stdout


def test_the_timeline_can_be_saved_as_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "timeline.svg"
    assert run_dev("--event", "{}", "--svg", str(picture)).returncode == 0
    text = picture.read_text()
    assert text.startswith("<svg")
    assert "█" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--event", "{"], "not JSON"),
        (["--event", "@/no/such/file"], "No such file"),
        (["--event", "{}", "--function-timeout", "3"], "is not a duration"),
        (["--pause", "soon"], "is not a duration"),
        (["--invocations", "3"], "only with --event"),
        (["--pause", "1s"], "only with --event"),
        (["--event", "{}", "--svg", "/no/such/folder/timeline.svg"], "there is no folder /no/such/folder"),
        (["--event", "{}", "--svg", "timeline.png"], "a name that ends in .svg"),
        (
            ["--mode", "AfterRespone"],
            "--mode: 'AfterRespone' (did you mean AfterResponse?); valid: AfterResponse,",
        ),
        (["--port", "99999"], "'--port': Input should be less than or equal to 65535"),
        (["--timeout", "3"], "--timeout: '3' (the unit is missing); valid: a duration such as 500ms"),
        (["--capture-limit", "big"], "--capture-limit: 'big'; valid: a size such as 512KiB"),
        (
            ["--event", "{}", "--function-timeout", "0s"],
            "--function-timeout: '0s' leaves the function no time",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_is_started(arguments: list[str], words: str) -> None:
    done = run_dev(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_the_picture_is_saved_with_json_as_well(tmp_path: Path) -> None:
    picture = tmp_path / "timeline.svg"
    done = run_dev("--event", "{}", "--json", "--svg", str(picture))
    assert done.returncode == 0
    assert events(done.stdout)
    assert picture.read_text().startswith("<svg")


def test_what_is_piped_is_never_wrapped() -> None:
    done = run_dev("--event", json.dumps({"said": "x" * 150}), command=f"echo {'y' * 300}; echo {'z ' * 200}")
    assert f"  │ {'y' * 300}\n" in done.stdout
    assert f"  │ {('z ' * 200).strip()}\n" in done.stdout
    assert f'  → {{"said": "{"x" * 150}"}}\n' in done.stdout


def test_the_printed_curl_can_be_copied_from_a_terminal_of_80_columns() -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*DEV, "--event", "{}", "--", *HANDLER],
        env=environ(TERM="xterm-256color", COLUMNS="80"),
        stdout=terminal,
        stderr=terminal,
    ):
        os.close(terminal)
        output = plain(read_all(controller).decode())
    os.close(controller)
    [line] = [line for line in output.splitlines() if "curl" in line]
    assert line.endswith("/2015-03-31/functions/function/invocations")
    assert len(line) <= 80


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run_dev("--port", str(server.getsockname()[1]))
    assert done.returncode == 2
    assert "Address already in use" in done.stderr


def test_the_usual_port_need_not_be_free() -> None:
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody else has it then, which is as good
            other.bind(("127.0.0.1", 9000))
            other.listen()
        with subprocess.Popen([*DEV, "--json", "--", *HANDLER], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["address"] != "127.0.0.1:9000"
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT_S) == 128 + signal.SIGINT


@contextmanager
def serving(
    *arguments: str, command: str = "true", mark: str = ""
) -> Iterator[tuple["subprocess.Popen[str]", Iterator[str]]]:
    """Run `dev` without an event; give the process and the lines that it prints, as they come."""
    with subprocess.Popen(
        [*DEV, "--port", "0", *arguments, "--", *HANDLER],
        env=environ(command, DEV_TEST_MARK=mark),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, iter(process.stdout)
        finally:
            process.kill()


def wait_for(lines: Iterator[str], what: str) -> dict[str, Any]:
    """Read what `dev --json` prints until something has happened."""
    return next(event for event in map(json.loads, lines) if event["event"] == what)


def invoke(address: str, event: str) -> "subprocess.CompletedProcess[bytes]":
    url = f"http://{address}/2015-03-31/functions/function/invocations"
    return subprocess.run(
        ["curl", "-sS", "-d", event, url], check=False, capture_output=True, timeout=LIMIT_S
    )


def marked(mark: str) -> list[int]:
    """Return the processes, but for zombies, that have a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"DEV_TEST_MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("event", "command", "phase"),
    [
        (None, "true", "listening"),
        ("{}", "true", "environment-started"),
        ('{"do": "sleep", "seconds": 600}', "true", "handed"),
        ("{}", "sleep 600", "post-command-started"),
        ("{}", "setsid sleep 600 & true", "frozen"),
    ],
)
def test_a_signal_in_any_phase_leaves_no_process(
    event: str | None, command: str, phase: str, signum: signal.Signals
) -> None:
    mark = uuid4().hex
    with serving("--json", command=command, mark=mark) as (process, lines):
        address = wait_for(lines, "listening")["address"]
        with ThreadPoolExecutor(1) as callers:
            if event is not None:
                callers.submit(invoke, address, event)
                wait_for(lines, phase)
            process.send_signal(signum)
            assert process.wait(LIMIT_S) == 128 + signum
    assert marked(mark) == []


def test_the_first_answer_waits_for_no_clock() -> None:
    """It comes as fast as the processes start. `bench/start_and_end.py` has the times."""
    clock = MockClock()
    assert trio.run(first_answer, clock, clock=clock) == b'{"n": 1}'


async def first_answer(clock: MockClock) -> bytes:
    """Start a function and return its first answer, until which the clock stands still."""
    options = Options(HANDLER, timeout_s=1, environ=environ())
    async with open_session(options, Recorder(ignore), await listen(0)) as session:
        answer = await session.invoke(b'{"n": 1}')
        clock.rate = 1.0  # the end of the processes is looked for again and again
    return answer.body


def ignore(_moment: Moment) -> None:
    """Nobody wants to know."""


def test_what_was_cut_off_under_way_is_shown_at_the_end() -> None:
    # The command stops the runner, so that nothing more can come of the invocation while all are being killed.
    with serving(command="kill -STOP $PPID; echo begun; sleep 600") as (process, lines):
        address = next(line for line in lines if "curl" in line).rpartition("http://")[2].split("/")[0]
        invoke(address, "{}")
        assert any("begun" in line for line in lines)
        process.send_signal(signal.SIGINT)
        assert any(line.startswith("• #1 ") for line in lines)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_it_quietly(arguments: list[str]) -> None:
    mark = uuid4().hex
    with subprocess.Popen(
        [*DEV, *arguments, "--event", "{}", "--invocations", "1000", "--", *HANDLER],
        env=environ(DEV_TEST_MARK=mark),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(LIMIT_S) == 128 + signal.SIGPIPE
    assert marked(mark) == []


def test_on_a_terminal_the_timeline_lives_and_ends_as_it_is_printed_elsewhere() -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*DEV, "--event", "{}", "--invocations", "2", "--pause", "300ms", "--", *HANDLER],
        env=environ("sleep 0.5", TERM="xterm-256color", COLUMNS="110"),
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        output = read_all(controller).decode()
        assert process.wait(LIMIT_S) == 0
    os.close(controller)
    assert output.count("✓") == 2
    assert "• #1" in plain(output)
    assert re.search("frozen for .* the next event thaws it", plain(output))
    assert "2 invocations, answered after" in plain(output)


def read_all(controller: int) -> bytes:
    """Read what is written to a terminal until nobody has it open any more."""
    output = b""
    while select.select([controller], [], [], LIMIT_S)[0]:
        try:
            output += os.read(controller, 65536)
        except OSError:  # EIO: the last one has closed it
            return output
    raise TimeoutError(output)


def plain(output: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output)


def test_the_demo_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    app = typer.Typer()
    app.command()(WithSettings(dev))
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 2
    assert "pip install awslambdaric" in done.stderr


@pytest.mark.interop
def test_the_demo_shows_work_after_the_answer_and_a_thread_that_lived_on() -> None:
    done = subprocess.run(
        [*DEV, "demo", "--json"], env=os.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    moments = events(done.stdout)
    for request_id in {moment["requestId"] for moment in moments if moment["event"] == "sent"}:
        when = {each["event"]: each["time"] for each in moments if each.get("requestId") == request_id}
        assert when["post-command-ended"] - when["answered"] >= 1.9
        assert when["ended"] >= when["post-command-ended"]
    answers = [json.loads(each["preview"]) for each in moments if each["event"] == "answered"]
    assert all(answer["ticksSinceLastAnswer"] >= 15 for answer in answers[1:])


@pytest.mark.interop
def test_the_demo_without_the_runner_shows_the_thread_frozen() -> None:
    done = subprocess.run(
        [*DEV, "demo", "--json", "--no-runner"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answers = [json.loads(each["preview"]) for each in events(done.stdout) if each["event"] == "answered"]
    assert len(answers) == 3
    # Of ten in the second between two events; a busy machine may be late with the freeze.
    assert all(answer["ticksSinceLastAnswer"] <= 4 for answer in answers)


def test_every_setting_of_run_can_be_given_and_wins_over_the_file_of_variables(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{PREFIX}COMMAND=echo from file\n{PREFIX}MODE=AfterError\n")
    options = ["--env-file", str(tmp_path / ".env"), "--mode", "AfterResponse", "--timeout", "5s"]
    done = run_dev("--event", "{}", *options, command="echo from environment")
    assert "  │ from file\n" in done.stdout
    done = run_dev("--event", "{}", *options, "--command", "echo from option")
    assert "  │ from option\n" in done.stdout


def test_a_handler_starts_without_a_post_command() -> None:
    done = run_dev("--event", "{}", command="")
    assert done.returncode == 0
    assert "no post command" in done.stdout


def test_a_port_that_is_taken_instead_of_the_usual_one_is_said() -> None:
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody else has it then, which is as good
            other.bind(("127.0.0.1", 9000))
            other.listen()
        with subprocess.Popen([*DEV, "--", *HANDLER], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert any("port 9000 is taken" in line for line in process.stdout)
            process.send_signal(signal.SIGINT)


def test_invoke_finds_the_dev_that_was_started_last(tmp_path: Path) -> None:
    here = environ(XDG_RUNTIME_DIR=str(tmp_path))
    invoke_it = [*DEV[:-1], "invoke", "--event", '{"found": 1}']
    with subprocess.Popen(
        [*DEV, "--json", "--port", "0", "--", *HANDLER], env=here, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        wait_for(iter(process.stdout), "listening")
        done = subprocess.run(
            invoke_it, env=here, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        assert done.stdout == '{"found": 1}\n', done.stderr
        process.send_signal(signal.SIGINT)
    assert list(tmp_path.glob("*/*")) == []


def test_invoke_passes_over_a_dev_that_sends_its_own_event_and_ends(tmp_path: Path) -> None:
    here = environ("until [ -e $GATE ]; do sleep 0.01; done", XDG_RUNTIME_DIR=str(tmp_path))
    gate = tmp_path / "gate"
    dev = [*DEV, "--json", "--port", "0"]
    with (
        subprocess.Popen([*dev, "--", *HANDLER], env=here, stdout=subprocess.PIPE, text=True) as asked,
        subprocess.Popen(
            [*dev, "--event", "{}", "--", *HANDLER],
            env=here | {"GATE": str(gate)},
            stdout=subprocess.PIPE,
            text=True,
        ) as passed_over,
    ):
        assert asked.stdout is not None
        assert passed_over.stdout is not None
        wait_for(iter(asked.stdout), "listening")
        wait_for(iter(passed_over.stdout), "answered")  # its command waits at the gate
        announced = [file.name for file in tmp_path.glob("aws-lambda-post-runner-*/*")]
        gate.touch()
        asked.send_signal(signal.SIGINT)
    assert announced == [str(asked.pid)]


def test_watch_starts_the_handler_anew_when_a_source_changes_and_sends_the_event_again(
    tmp_path: Path,
) -> None:
    source = tmp_path / "handler.py"
    source.write_text(Path(HANDLER[1]).read_text())
    with subprocess.Popen(
        [*DEV, "--json", "--watch", "--event", '{"do": "tell pid"}', "--", sys.executable, str(source)],
        cwd=tmp_path,
        env=environ(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        first = wait_for(lines, "answered")["preview"]
        wait_for(lines, "frozen")
        source.write_text(source.read_text() + "\n# changed\n")
        assert wait_for(lines, "restarted")["reason"] == "handler.py has changed"
        assert wait_for(lines, "answered")["preview"] != first
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 128 + signal.SIGINT


async def invoke_right_after_a_restart() -> list[bytes]:
    options = Options(HANDLER, environ=environ())
    async with open_session(options, Recorder(ignore), await listen(0)) as session:
        answers = []
        with trio.fail_after(LIMIT_S):
            for _ in range(3):
                answers.append((await session.invoke(b'{"do": "tell pid"}')).body)
                await session.wait_ended()
                await session.environments.restart()
        return answers


def test_an_event_that_comes_while_the_handler_is_started_anew_is_the_new_ones() -> None:
    answers = trio.run(invoke_right_after_a_restart)
    assert len(set(answers)) == 3


def test_the_key_r_starts_the_handler_anew() -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*DEV, "--json", "--watch", "--port", "0", "--", *HANDLER],
        env=environ(),
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=own_terminal,  # noqa: PLW1509 - this process has no other thread
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        address = wait_for(lines, "listening")["address"]
        invoke(address, "{}")
        wait_for(lines, "frozen")
        os.write(controller, b"xr")
        assert wait_for(lines, "restarted")["reason"] == "you asked for it"
        process.send_signal(signal.SIGINT)
    os.close(terminal)
    os.close(controller)


def own_terminal() -> None:
    """Make standard input the controlling terminal, as a shell has it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_many_invocations_end_in_one_chart_and_a_line_each() -> None:
    done = run_dev("--event", "{}", "--invocations", "24")
    assert done.returncode == 0, done.stdout
    assert "\n✓ #24 answer after " in done.stdout
    assert re.search(r"^ #24 .* answer .* ms$", done.stdout, re.MULTILINE)
