"""What a signal to us does to post work that is under way, and to what begins later."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import FakeRuntimeApi
from .running import Gate, HandlerConnection, Running

SLOW_TO_START = """
import subprocess, sys
from aws_lambda_post_runner import entry

class Slow(subprocess.Popen):
    def __init__(self, args, **options):
        super().__init__(args, **options)
        if options.get("start_new_session"):
            print("it is being started", flush=True)
            open("{gate}").read(1)

subprocess.Popen = Slow
sys.exit(entry.main())
"""
"""A runner in which the start of a post command takes until somebody opens the gate."""


TOLD_OF_SIGTERM = [
    "sh",
    "-c",
    'trap "echo told" TERM; echo "$AWS_LAMBDA_RUNTIME_API"; until read -r status; do :; done; exit "$status"',
]
"""A handler that says so when it gets the signal, and goes on."""


def deaf_to(name: str) -> list[str]:
    """A handler that goes on after this signal."""
    return ["sh", "-c", f'trap \'\' {name}; echo "$AWS_LAMBDA_RUNTIME_API"; read -r status; exit "$status"']


def answer_one(runtime_api: FakeRuntimeApi, handler: HandlerConnection) -> str:
    """Take an event and answer it; return its request id."""
    request_id = runtime_api.invoke()
    assert handler.poll() == request_id
    handler.answer(request_id)
    return request_id


def cut_off_by(runner: Running, request_id: str) -> str | None:
    """Wait for the end of a command and tell what cut it off."""
    cause: str | None = runner.await_event("post-command-ended", request_id)["cutOffBy"]
    return cause


def test_a_command_that_begins_after_sigterm_is_cut_like_one_that_ran_already(
    start: Start, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    runner = start(deaf_to("TERM"), COMMAND=gate.wait)
    handler = runner.connect()
    first = answer_one(runtime_api, handler)
    runner.await_event("post-command-started", first)
    runner.signal(signal.SIGTERM)
    assert cut_off_by(runner, first) == "shutdown"
    second = answer_one(runtime_api, handler)
    assert cut_off_by(runner, second) == "shutdown"


def test_after_a_reload_that_the_handler_survives_commands_and_waits_run_as_ever(
    start: Start, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    runner = start(deaf_to("HUP"), COMMAND=gate.wait)
    handler, helper = runner.connect(), runner.connect()
    first = answer_one(runtime_api, handler)
    runner.await_event("post-command-started", first)
    runner.signal(signal.SIGHUP)
    assert cut_off_by(runner, first) == "shutdown"
    gate.release()
    second = runtime_api.invoke()
    assert handler.poll() == second
    opened = helper.exchange("POST", "/post-runner/v1/invocation/current/wait")
    token = json.loads(opened.body)["token"]
    handler.answer(second)
    assert cut_off_by(runner, second) is None
    assert helper.exchange("DELETE", f"/post-runner/v1/wait/{token}").status == 202
    assert runner.await_event("waits-ended", second)["expired"] == 0


def test_on_managed_instances_the_time_that_a_command_waits_for_its_place_is_not_its_own(
    prepare: Prepare, gate: Gate
) -> None:
    """The one before keeps the only place for all of the timeout, which both began at the same time to count."""
    stage = prepare(environment={"AWS_LAMBDA_MAX_CONCURRENCY": "1"}, TIMEOUT="1s", GRACE="100ms")
    was_here = stage.folder / "was-here"
    stage.run_after(f"[ -e {was_here} ] && exit 0; touch {was_here}; {gate.wait}")
    handler = stage.runner.connect()
    first, second = [stage.next_invocation(handler) for _ in range(2)]
    handler.answer(first)
    stage.runner.await_event("post-command-started", first)
    handler.answer(second)
    assert cut_off_by(stage.runner, first) == "timeout"
    stage.runner.await_event("post-command-started", second)


def test_a_command_that_is_cut_while_it_is_being_started_is_told_of_and_judged(
    start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    gate = tmp_path / "start"
    os.mkfifo(gate)
    slow = [sys.executable, "-c", SLOW_TO_START.format(gate=gate)]
    runner = start(TOLD_OF_SIGTERM, runner=slow, COMMAND="exec sleep 60")
    handler = runner.connect()
    request_id = answer_one(runtime_api, handler)
    runner.await_output("it is being started")
    runner.signal(signal.SIGTERM)
    runner.await_output("told")
    gate.write_text(".")
    ended = runner.await_event("post-command-ended", request_id)
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGTERM, "shutdown")
    assert [each["requestId"] for each in runner.events("post-command-started")] == [request_id]


def test_a_signal_in_the_pause_between_two_tries_leaves_the_fallback_its_reserve_and_no_more(
    start: Start, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    runner = start(
        deaf_to("TERM"),
        COMMAND="exit 3",
        RETRIES="1000000",
        FALLBACK_COMMAND=gate.wait,
        FALLBACK_RESERVE="100ms",
    )
    request_id = answer_one(runtime_api, runner.connect())
    runner.await_event("post-command-retried", request_id, nth=4)
    runner.signal(signal.SIGTERM)
    assert runner.await_event("fallback-command-ended", request_id)["cutOffBy"] == "shutdown"


def test_a_fallback_that_runs_when_the_signal_comes_has_its_reserve_as_well(
    start: Start, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    runner = start(TOLD_OF_SIGTERM, COMMAND="exit 3", FALLBACK_COMMAND=gate.wait, FALLBACK_RESERVE="60s")
    request_id = answer_one(runtime_api, runner.connect())
    runner.await_event("fallback-command-started", request_id)
    runner.signal(signal.SIGTERM)
    runner.await_output("told")
    gate.release()
    ended = runner.await_event("fallback-command-ended", request_id)
    assert (ended["exitStatus"], ended["cutOffBy"]) == (0, None)


@pytest.mark.parametrize(("reserve", "more_signals"), [("100ms", 0), ("60s", 1)])
def test_a_fallback_that_runs_when_the_signal_comes_is_ended_by_its_reserve_or_the_next_signal(
    start: Start, runtime_api: FakeRuntimeApi, gate: Gate, *, reserve: str, more_signals: int
) -> None:
    runner = start(TOLD_OF_SIGTERM, COMMAND="exit 3", FALLBACK_COMMAND=gate.wait, FALLBACK_RESERVE=reserve)
    request_id = answer_one(runtime_api, runner.connect())
    runner.await_event("fallback-command-started", request_id)
    runner.signal(signal.SIGTERM)
    runner.await_output("told")
    for _ in range(more_signals):
        runner.signal(signal.SIGTERM)
    assert runner.await_event("fallback-command-ended", request_id)["cutOffBy"] == "shutdown"
