"""The handler lives under us as it would without us, and nobody outlives it for long."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from aws_lambda_post_runner.settings import read
from aws_lambda_post_runner.supervisor import CUTTING, STOPPING, supervise

from .conftest import ADDRESS, Prepare, Start
from .fake_runtime_api import ACCEPTED, Exchange, FakeRuntimeApi, answer_path, response
from .running import (
    PREFIX,
    WAITING_HANDLER,
    Gate,
    Running,
    Stage,
    plain_environment,
    python_handler,
    wait_until,
)

ASKED_TO_STOP = "trap 'echo told >> {log}; exit 0' TERM; echo started >> {log}; {wait}"
DEAF = "trap '' TERM; echo started >> {log}; {wait}"

VERY_LATE = 3.0
"""Seconds; longer than a runner of ours waits for anything that has no deadline."""


# It ends.


@pytest.mark.parametrize("status", [0, 1, 42])
def test_we_exit_with_the_handlers_status_in_the_middle_of_an_invocation(stage: Stage, status: int) -> None:
    stage.next_invocation(stage.runner.connect())
    stage.runner.end_handler(status)
    assert stage.runner.wait() == status
    assert stage.runner.events("handler-ended")[0]["status"] == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_we_exit_with_128_and_the_signal_that_killed_the_handler(
    stage: Stage, number: signal.Signals
) -> None:
    stage.next_invocation(stage.runner.connect())
    os.kill(stage.runner.await_event("handler-started")["pid"], number)
    assert stage.runner.wait() == 128 + number


@pytest.fixture
def our_own_signals() -> Iterator[None]:
    """Heed again what `supervise` leaves ignored. It may, for its process is about to end; ours is not."""
    before = {number: signal.getsignal(number) for number in STOPPING | CUTTING}
    yield
    for number, what_it_did in before.items():
        signal.signal(number, what_it_did)


@pytest.mark.usefixtures("our_own_signals")
def test_we_let_no_more_than_100_ms_pass_after_the_handler_has_ended(runtime_api: FakeRuntimeApi) -> None:
    """By our own clock, which moves here only when there is nothing left to do but to wait for it. While the handler
    lives it does not move at all: no deadline is armed. `bench/start_and_end.py` has the times of real clocks.
    """
    runtime_api.plan("/there-is-a-poll", there_is_a_poll)
    clock = MockClock(autojump_threshold=0.05)
    assert trio.run(time_that_passes, runtime_api.address, clock=clock) <= 0.1


async def time_that_passes(runtime_api: str) -> float:
    """Run a handler that leaves a poll out and exits with 7; return the seconds that passed here."""
    environment = plain_environment() | {ADDRESS: runtime_api, PREFIX + "COMMAND": "true"}
    began = trio.current_time()
    assert await supervise(read(environment), python_handler("leave_a_poll_out.py"), environment) == 7
    return trio.current_time() - began


def there_is_a_poll(exchange: Exchange) -> None:
    """Answer when the Runtime API has a poll, which it leaves unanswered."""
    exchange.api.await_request("/next")
    exchange.send(response(200))


def test_post_work_under_way_is_finished_before_we_exit_with_the_handlers_status(
    stage: Stage, gate: Gate
) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert handler.answer(request_id).status == 202
    stage.runner.await_event("post-command-started")
    end_handler_and_see_it_gone(stage.runner, 3)
    gate.release()
    assert stage.runner.wait() == 3
    assert stage.runner.events("post-command-ended", request_id)[0]["exitStatus"] == 0


def test_post_work_that_outlives_the_handler_keeps_to_its_budget(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(TIMEOUT="300ms")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    stage.runner.await_event("post-command-started")
    stage.runner.end_handler(3)
    assert stage.runner.wait() == 3
    assert stage.runner.events("post-command-ended")[0]["cutOffBy"] == "timeout"


def test_an_answer_is_delivered_and_followed_by_the_command_though_the_handler_exits_at_once(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    request_id = runtime_api.invoke()
    runner = start(python_handler("answer_and_leave.py"), COMMAND="exit 7")
    assert runner.wait() == 3
    assert runtime_api.to(f"{request_id}/response")[0].body == b"{}"
    assert [each["exitStatus"] for each in runner.events("post-command-ended", request_id)] == [7]


def test_the_command_also_runs_when_the_acknowledgement_comes_after_the_handlers_end(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    handler_is_gone = threading.Event()

    def acknowledge_late(exchange: Exchange) -> None:
        exchange.read_body()
        handler_is_gone.wait(10)
        ACCEPTED(exchange)

    runtime_api.plan("/response", acknowledge_late)
    request_id = runtime_api.invoke()
    runner = start(python_handler("answer_and_leave.py"), COMMAND="exit 7")
    pid = runner.await_event("handler-started")["pid"]
    wait_until(lambda: pid not in runner.processes(), "the handler's end")
    handler_is_gone.set()
    assert runner.wait() == 3
    assert [each["exitStatus"] for each in runner.events("post-command-ended", request_id)] == [7]


def test_a_last_answer_is_seen_through_however_long_its_acknowledgement_takes_before_the_deadline(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    given_up = []

    def acknowledge_very_late(exchange: Exchange) -> None:
        exchange.read_body()
        given_up.append(exchange.is_peer_gone_within(VERY_LATE))
        ACCEPTED(exchange)

    runtime_api.plan("/response", acknowledge_very_late)
    request_id = runtime_api.invoke()
    runner = start(python_handler("answer_and_leave.py"), COMMAND="exit 7")
    assert runner.wait() == 3
    assert given_up == [False]
    assert [each["exitStatus"] for each in runner.events("post-command-ended", request_id)] == [7]


def test_an_answer_in_the_middle_of_which_the_handler_dies_is_cut_and_has_no_command(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    runner = start(python_handler("die_while_answering.py"), COMMAND=":")
    assert runner.wait() == 128 + signal.SIGKILL
    request = runtime_api.await_request("/response")
    runtime_api.wait_for(lambda: request.cut, "the cut")
    assert request.body == b"half of it"
    assert runner.events("settled") == []


def end_handler_and_see_it_gone(runner: Running, status: int) -> None:
    pid = runner.await_event("handler-started")["pid"]
    runner.end_handler(status)
    wait_until(lambda: pid not in runner.processes(), "the handler's end")


def test_a_child_of_the_handlers_that_never_ends_its_answer_keeps_us_until_the_deadline_at_most(
    stage: Stage,
) -> None:
    """Here the test is that child: it holds a connection with half an answer when the handler exits."""
    connection = stage.runner.connect()
    connection.begin_stream(answer_path(stage.next_invocation(connection, seconds=1)))
    stage.runtime_api.await_request("/response")
    stage.runner.end_handler(3)
    assert stage.runner.wait() == 3


# It has what it would have without us.


def test_neither_the_handler_nor_the_command_ignores_sigpipe_as_python_does(start: Start) -> None:
    """Or what they run would not end when its reader has gone."""
    show = "echo shown: $(grep SigIgn /proc/self/status)"
    handler = WAITING_HANDLER[2].replace("read", f"{show}; read")
    runner = start(["sh", "-c", handler], COMMAND=show)
    runner.connect().answer("any")
    assert runner.stdout is not None
    for nth in (1, 2):
        shown = runner.stdout.await_line(lambda line: line.startswith("shown: "), nth=nth)
        ignored = int(shown.split()[-1], 16)
        assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_the_handler_keeps_the_descriptors_that_we_inherited_but_the_observers_and_the_command_gets_none(
    start: Start,
) -> None:
    """Runtime clients log through one, which _LAMBDA_TELEMETRY_LOG_FD names."""
    telemetry, end = os.pipe()
    show = "echo shown: $(ls /proc/self/fd) $AWS_LAMBDA_POST_RUNNER_OBSERVER_FD"
    handler = WAITING_HANDLER[2].replace("read", f"{show}; read")
    runner = start(["sh", "-c", handler], COMMAND=show.replace("shown", "command"), descriptors=[end])
    usual = {"0", "1", "2", "3"}  # 3 is how ls reads the folder
    of_the_handler = set(runner.await_output("shown: ").split()[1:]) - usual
    runner.connect().answer("any")
    of_the_command = set(runner.await_output("command: ").split()[1:]) - usual
    assert of_the_handler == {str(end)}
    assert of_the_command == set()
    os.close(telemetry)
    os.close(end)


# It does not start.


def test_a_handler_that_is_not_found_is_named_and_ends_us_with_127(start: Start) -> None:
    runner = start(["no-such-handler", "argument"], COMMAND=":")
    assert runner.wait() == 127
    assert only_line(runner).endswith(
        "the handler cannot be started: no-such-handler: No such file or directory"
    )


def test_a_handler_that_is_not_executable_is_named_and_ends_us_with_126(start: Start, tmp_path: Path) -> None:
    (tmp_path / "handler").touch()
    runner = start([str(tmp_path / "handler")], COMMAND=":")
    assert runner.wait() == 126
    assert only_line(runner).endswith(f"the handler cannot be started: {tmp_path}/handler: Permission denied")


def test_another_wrapper_starts_the_handler_if_we_are_told_so(start: Start, tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\necho "wrapped: $*"\nexec "$@"\n')
    wrapper.chmod(0o755)
    runner = start(["sh", "-c", "exit 9"], COMMAND=":", NEXT_WRAPPER=str(wrapper))
    runner.await_output("wrapped: sh -c exit 9")
    assert runner.wait() == 9


def test_another_wrapper_that_is_not_found_is_named_and_ends_us_with_127(start: Start) -> None:
    runner = start(["sh", "-c", "exit 9"], COMMAND=":", NEXT_WRAPPER="/opt/no-such-wrapper")
    assert runner.wait() == 127
    assert "/opt/no-such-wrapper: No such file or directory" in only_line(runner)


def test_so_it_is_when_the_handler_would_have_taken_our_place(start: Start) -> None:
    runner = start(["no-such-handler"], runtime_api_at=None)
    assert runner.wait() == 127
    assert "the handler cannot be started: no-such-handler: No such file or directory" in runner.said()


def only_line(runner: Running) -> str:
    [line] = runner.said().splitlines()
    return line


# Signals.


def test_the_handler_stays_in_our_process_group_and_session(start: Start) -> None:
    runner = start(python_handler("signalled.py"), COMMAND=":")
    ours = runner.process.pid
    runner.await_output(f"group {ours} session {ours}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_us_reaches_the_handler_and_we_exit_with_its_status(
    start: Start, number: signal.Signals
) -> None:
    runner = start(python_handler("signalled.py"), COMMAND=":")
    runner.await_output("127.0.0.1:")
    runner.signal(number)
    runner.await_output(number.name)
    assert runner.wait() == 5
    assert runner.processes() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_may_reach_the_handler_twice_and_does_no_harm(
    start: Start, number: signal.Signals
) -> None:
    runner = start(python_handler("signalled.py"), COMMAND=":")
    runner.await_output("127.0.0.1:")
    os.killpg(runner.process.pid, number)
    assert runner.wait() == 5
    assert runner.processes() == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_that_mean_something_to_a_handler_are_passed_on(start: Start, number: signal.Signals) -> None:
    runner = start(python_handler("signalled.py"), COMMAND=":")
    runner.await_output("127.0.0.1:")
    runner.signal(number)
    runner.await_output(number.name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_group", [False, True], ids=["to us", "to the group"])
def test_a_command_that_runs_when_we_are_stopped_can_end_in_its_grace(
    prepare: Prepare, gate: Gate, tmp_path: Path, number: signal.Signals, *, to_group: bool
) -> None:
    stage = prepare(GRACE="10s")
    log = tmp_path / "log"
    begin_post_work(stage, ASKED_TO_STOP.format(log=log, wait=gate.wait_for_a_trap), log)
    if to_group:
        os.killpg(stage.runner.process.pid, number)
    else:
        stage.runner.signal(number)
    assert stage.runner.wait() == 128 + number
    assert log.read_text() == "started\ntold\n"
    ended = stage.runner.events("post-command-ended")[0]
    assert (ended["exitStatus"], ended["cutOffBy"]) == (0, "shutdown")
    assert stage.runner.processes() == []


def test_a_command_that_does_not_heed_the_signal_is_killed_after_its_grace(
    prepare: Prepare, gate: Gate, tmp_path: Path
) -> None:
    stage = prepare(GRACE="100ms")
    log = tmp_path / "log"
    begin_post_work(stage, DEAF.format(log=log, wait=gate.wait), log)
    stage.runner.signal(signal.SIGTERM)
    assert stage.runner.wait() == 128 + signal.SIGTERM
    ended = stage.runner.events("post-command-ended")[0]
    assert (ended["signal"], ended["cutOffBy"]) == (signal.SIGKILL, "shutdown")
    assert stage.runner.processes() == []


def test_a_signal_also_ends_post_work_that_has_outlived_the_handler(
    prepare: Prepare, gate: Gate, tmp_path: Path
) -> None:
    stage = prepare(GRACE="10s")
    log = tmp_path / "log"
    begin_post_work(stage, ASKED_TO_STOP.format(log=log, wait=gate.wait_for_a_trap), log)
    end_handler_and_see_it_gone(stage.runner, 3)
    stage.runner.signal(signal.SIGTERM)
    assert stage.runner.wait() == 3
    assert stage.runner.events("post-command-ended")[0]["cutOffBy"] == "shutdown"


def begin_post_work(stage: Stage, command: str, log: Path) -> None:
    stage.run_after(command)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    wait_until(log.exists, "the command's beginning")


# We are not wanted.


def test_disabled_we_say_why_once_and_the_handler_takes_our_place(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    runner = start(
        ["sh", "-c", 'echo "$$ $AWS_LAMBDA_RUNTIME_API"; exit 6'], COMMAND=":", DISABLED="too busy"
    )
    runner.await_output(f"{runner.process.pid} {runtime_api.address}")
    assert runner.wait() == 6
    assert "disabled by AWS_LAMBDA_POST_RUNNER_DISABLED (too busy)" in only_line(runner)


@pytest.mark.parametrize("address", ["", None], ids=["empty", "unset"])
def test_without_a_runtime_api_the_handler_takes_our_place_with_its_environment(
    start: Start, address: str | None
) -> None:
    """Even without a command: outside Lambda nothing has to be set."""
    handler = ["sh", "-c", 'echo "$$ $AWS_LAMBDA_POST_RUNNER_TIMEOUT"; exit 6']
    runner = start(handler, runtime_api_at=address, TIMEOUT="30s")
    runner.await_output(f"{runner.process.pid} 30s")
    assert runner.wait() == 6
    assert runner.said() == ""
