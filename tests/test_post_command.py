"""The post command runs after the answer, knows what it needs, and however it ends the function goes on."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from .conftest import Prepare
from .fake_runtime_api import NEXT
from .running import PREFIX, Gate, HandlerConnection, Record, Stage, wait_until

LONG_ENOUGH = "1s"
"""A timeout in which a shell has long set its trap, on a busy machine too."""


def run_command(stage: Stage, handler: HandlerConnection, **event: object) -> Record:
    """Let the handler answer one invocation; return how its command ended."""
    request_id = stage.next_invocation(handler, **event)
    assert handler.answer(request_id).status == 202
    return stage.runner.await_event("post-command-ended", request_id)


def poll_goes_on(stage: Stage, handler: HandlerConnection) -> bool:
    """Whether the handler's next poll brings the next event."""
    return bool(stage.next_invocation(handler))


# When it runs.


def test_the_handler_has_its_acknowledgement_before_the_command_ends(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    acknowledgement = handler.answer(request_id)
    assert (acknowledgement.status, acknowledgement.body) == (202, b'{"status":"OK"}')
    assert stage.runner.events("post-command-ended") == []
    gate.release()
    assert stage.runner.await_event("post-command-ended")["exitStatus"] == 0


RESPONSE, ERROR = "response", "error"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, [RESPONSE, ERROR]),
        ("AfterResponse", [RESPONSE]),
        ("AfterError", [ERROR]),
        (" AfterError , AfterResponse", [RESPONSE, ERROR]),
        ("OnRequest", []),
        ("WaitUntil", []),
    ],
)
def test_the_mode_decides_after_which_outcomes_the_command_runs(
    prepare: Prepare, mode: str | None, expected: list[str]
) -> None:
    stage = prepare(MODE=mode) if mode else prepare()
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    handler.answer_error(stage.next_invocation(handler))
    stage.next_invocation(handler)
    assert [each["outcome"] for each in stage.runner.events("post-command-ended")] == expected


def test_the_shell_is_bash_unless_another_is_named(prepare: Prepare, tmp_path: Path) -> None:
    for shell in ["/bin/bash", "/bin/sh"]:
        stage = prepare(SHELL=shell) if shell != "/bin/bash" else prepare()
        stage.run_after(f"readlink /proc/$$/exe > {tmp_path}/shell")
        run_command(stage, stage.runner.connect())
        assert Path((tmp_path / "shell").read_text().strip()).samefile(shell)


# What it gets.


def test_the_command_gets_the_handlers_environment_and_its_output_is_ours(prepare: Prepare) -> None:
    stage = prepare(environment={"SOMETHING": "of the handler's"})
    stage.run_after('echo "output: $SOMETHING"')
    run_command(stage, stage.runner.connect())
    stage.runner.await_output("output: of the handler's")


# However it ends, the function goes on.


@pytest.mark.parametrize(
    ("commands", "exit_status", "number", "said"),
    [
        ("exit 3", 3, None, "the post command ended with status 3 after"),
        ("kill -9 $$", None, 9, "the post command was killed by SIGKILL after"),
        ("no-such-command", 127, None, "the post command ended with status 127 after"),
    ],
)
def test_a_command_that_fails_is_reported_and_the_next_poll_goes_on(
    stage: Stage, commands: str, exit_status: int | None, number: int | None, said: str
) -> None:
    stage.run_after(commands)
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["exitStatus"], ended["signal"], ended["cutOffBy"]) == (exit_status, number, None)
    assert poll_goes_on(stage, handler)
    assert ended["requestId"] in stage.runner.stderr.await_line(lambda line: said in line)


@pytest.mark.parametrize(
    ("shell", "problem"),
    [
        ("/no/such/shell", "/no/such/shell: No such file or directory"),
        ("/etc/passwd", "/etc/passwd: Permission denied"),
    ],
)
def test_a_shell_that_cannot_be_started_is_reported_and_the_next_poll_goes_on(
    prepare: Prepare, shell: str, problem: str
) -> None:
    stage = prepare(SHELL=shell)
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["exitStatus"], ended["signal"], ended["problem"]) == (None, None, problem)
    assert poll_goes_on(stage, handler)
    stage.runner.stderr.await_line(lambda line: f"the post command was not started: {problem}" in line)


# It is bounded.


def test_a_command_that_overruns_the_timeout_gets_sigterm(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(TIMEOUT="100ms", GRACE="10s")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGTERM, "timeout")
    assert ended["durationMs"] >= 100
    assert poll_goes_on(stage, handler)


def test_a_command_that_overruns_the_deadline_is_ended_a_margin_before_it(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(MARGIN="2500ms", GRACE="2s")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    deadline = time.time() + 3
    ended = run_command(stage, handler, seconds=3)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGTERM, "deadline")
    assert poll_goes_on(stage, handler)
    assert stage.runner.events("poll-relayed")[1]["time"] < deadline


def test_the_grace_is_kept_before_the_deadline_even_if_the_margin_is_less(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(MARGIN="0ms", GRACE="2s")
    told = stage.folder / "told"
    stage.run_after(f"trap 'touch {told}' TERM; {gate.wait_for_a_trap}")
    handler = stage.runner.connect()
    deadline = time.time() + 3
    ended = run_command(stage, handler, seconds=3)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGKILL, "deadline")
    assert told.stat().st_mtime < deadline


def test_a_command_that_does_not_heed_sigterm_is_killed(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(TIMEOUT=LONG_ENOUGH, GRACE="100ms")
    stage.run_after(f"trap '' TERM; {gate.wait}")
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGKILL, "timeout")
    assert poll_goes_on(stage, handler)


def test_grandchildren_that_do_not_heed_sigterm_are_killed_when_the_poll_goes_on(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(TIMEOUT=LONG_ENOUGH, GRACE="100ms")
    stage.run_after(f"(trap '' TERM; sleep 60; sleep 60) & {gate.wait}")
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGTERM, "timeout")
    assert poll_goes_on(stage, handler)
    left = {stage.runner.process.pid, stage.runner.await_event("handler-started")["pid"]}
    wait_until(lambda: set(stage.runner.processes()) == left, "the death of what was killed")


def test_a_command_is_not_started_when_nothing_is_left_of_its_budget_and_that_is_reported(
    stage: Stage,
) -> None:
    stage.run_after(f"touch {stage.folder}/ran")
    handler = stage.runner.connect()
    ended = run_command(stage, handler, seconds=0.4)
    assert (ended["exitStatus"], ended["cutOffBy"]) == (None, "deadline")
    assert ended["problem"] == "no time was left before the deadline"
    assert poll_goes_on(stage, handler)
    assert not (stage.folder / "ran").exists()
    stage.runner.stderr.await_line(lambda line: "not started: no time was left before the deadline" in line)


# What it leaves and what it says.


def test_100_mb_of_output_pass_through_and_our_memory_stays_flat(prepare: Prepare) -> None:
    size = 100_000_000
    output, written = os.pipe()
    stage = prepare(stdout=written)
    os.close(written)
    handler = stage.runner.connect(to=os.read(output, 100).decode().strip())
    run_command(stage, handler)
    before = stage.runner.memory()
    stage.run_after(f"head -c {size} /dev/zero")
    handler.answer(stage.next_invocation(handler))
    left = size
    while left:
        left -= len(os.read(output, 1 << 20))
    stage.runner.await_event("post-command-ended", nth=2)
    assert stage.runner.memory() - before < 4 * 1024 * 1024
    os.close(output)


def test_a_background_child_that_the_command_leaves_is_left_alone_and_not_waited_for(stage: Stage) -> None:
    stage.run_after("sleep 60 & echo $! > " + str(stage.folder / "pid"))
    handler = stage.runner.connect()
    ended = run_command(stage, handler)
    assert (ended["exitStatus"], ended["cutOffBy"]) == (0, None)
    assert poll_goes_on(stage, handler)
    left = int((stage.folder / "pid").read_text())
    # It may be on its way from the shell's copy to its program, and have no environment to be known by.
    wait_until(lambda: left in stage.runner.processes(), "the process left")


# What is said of it.

TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def test_a_report_in_text_has_the_form_of_lambdas_own_lines(prepare: Prepare) -> None:
    stage = prepare(LOG_LEVEL="info")
    stage.run_after("exit 3")
    request_id = run_command(stage, stage.runner.connect())["requestId"]
    message = r"the post command ended with status 3 after \d+ ms \(outcome response\)"
    form = rf"\[WARN\]\t{TIMESTAMP}\t{request_id}\taws-lambda-post-runner: {message}"
    assert stage.runner.stderr.await_line(lambda line: re.fullmatch(form, line) is not None)


def test_a_report_in_json_has_what_lambdas_log_filter_reads_and_all_there_is_to_know(
    prepare: Prepare,
) -> None:
    stage = prepare(environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"})
    stage.run_after("kill -9 $$")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer_error(request_id)
    report = json.loads(stage.runner.stderr.await_line(lambda line: "post command" in line))
    assert re.fullmatch(TIMESTAMP, report.pop("timestamp"))
    duration = report.pop("durationMs")
    assert duration >= 0
    assert report == {
        "level": "WARN",
        "requestId": request_id,
        "logger": "aws-lambda-post-runner",
        "event": "post-command-ended",
        "message": f"the post command was killed by SIGKILL after {duration} ms (outcome error)",
        "outcome": "error",
        "retries": 0,
        "exitStatus": None,
        "signal": 9,
        "cutOffBy": None,
        "problem": None,
        "notCaptured": [],
    }


LAMBDAS_LEVEL = "AWS_LAMBDA_LOG_LEVEL"
OUR_LEVEL = PREFIX + "LOG_LEVEL"


@pytest.mark.parametrize(
    ("levels", "reported"),
    [
        ({}, ["WARN"]),
        ({LAMBDAS_LEVEL: "INFO"}, ["INFO", "WARN"]),
        ({OUR_LEVEL: "info"}, ["INFO", "WARN"]),
        ({OUR_LEVEL: "error"}, []),
        ({LAMBDAS_LEVEL: "DEBUG", OUR_LEVEL: "warn"}, ["WARN"]),
    ],
    ids=str,
)
def test_the_level_decides_what_is_reported_of_a_success_and_of_a_failure(
    prepare: Prepare, levels: dict[str, str], reported: list[str]
) -> None:
    stage = prepare(environment=levels)
    handler = stage.runner.connect()
    run_command(stage, handler)
    stage.run_after("exit 1")
    run_command(stage, handler)
    stage.runner.end_handler()
    stage.runner.wait()
    assert re.findall(r"\[(\w+)\].*the post command", stage.runner.said()) == reported


def test_debug_logs_tell_each_request_of_the_handlers(prepare: Prepare) -> None:
    stage = prepare(LOG_LEVEL="debug")
    run_command(stage, stage.runner.connect())
    stage.runner.stderr.await_line(
        lambda line: line.startswith("[DEBUG]") and line.endswith("the handler asks GET " + NEXT)
    )


def test_without_an_observer_and_at_the_default_level_a_success_leaves_no_trace(prepare: Prepare) -> None:
    stage = prepare(OBSERVER_FD="")
    done = stage.folder / "done"
    stage.run_after(f"touch {done}")
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    wait_until(done.exists, "the command")
    stage.runner.end_handler()
    assert stage.runner.wait() == 0
    assert stage.runner.said() == ""
