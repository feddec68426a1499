"""A function on a laptop lives, is frozen and dies as on Lambda. Real processes, under the real runner."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from aws_lambda_post_runner.dev.emulator import environment, sandbox
from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.emulator.invoke_endpoint import INVOKE_PATH
from aws_lambda_post_runner.dev.testing import RunningFunction
from aws_lambda_post_runner.settings import PREFIX

HANDLER = (sys.executable, str(Path(__file__).with_name("dev_handler.py")))
LIMIT_S = 10.0
"""When we give up waiting for what happens at once."""
WAIT_FOR_GATE = 'while [ ! -e "$GATE" ]; do sleep 0.01; done'

Start = Callable[[Options], RunningFunction]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start functions that end with the test."""
    with ExitStack() as functions:
        yield lambda options: functions.enter_context(RunningFunction(options))


def options(command: str = "true", *arguments: str, **environ: str) -> Options:
    """Return how to run the handler with a post command, its arguments and variables; 20 s at most."""
    variables = os.environ | environ | {f"{PREFIX}COMMAND": command}
    return Options((*HANDLER, *arguments), timeout_s=20, environ=variables)


def state(pid: int) -> str:
    """Return a process's state, as /proc has it: S sleeps, T is stopped, Z has ended; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_stopped(pid: int) -> bool:
    """Tell whether a process stops, soon: a signal needs a moment on a busy machine."""
    limit = time.monotonic() + 5
    while state(pid) != "T" and time.monotonic() < limit:
        time.sleep(0.005)
    return state(pid) == "T"


def how_often(function: RunningFunction, what: str) -> int:
    return sum(moment.what == what for moment in function.moments)


def test_the_answer_comes_first_then_the_command_then_the_poll(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    function = start(options(WAIT_FOR_GATE, GATE=str(gate)))
    answer = function.invoke({"n": 1})
    assert answer.json() == {"n": 1}
    gate.touch()
    work = answer.post_work()
    assert work is not None
    assert (work.request_id, work.exit_status, work.signal) == (answer.request_id, 0, None)
    block = function.wait_complete(answer.request_id, LIMIT_S)
    assert block.answered is not None
    assert block.command_ended is not None
    assert block.ended is not None
    assert block.answered <= block.command_ended <= block.ended
    assert block.failures == []


def test_a_command_that_fails_is_a_failure_of_its_invocation(start: Start) -> None:
    function = start(options("exit 3"))
    answer = function.invoke()
    work = answer.post_work()
    assert work is not None
    assert work.exit_status == 3
    assert function.wait_complete(answer.request_id, LIMIT_S).failures == ["the post command: exit 3"]


def test_what_the_command_writes_is_seen(start: Start) -> None:
    function = start(options('echo "work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"; printf unfinished'))
    answer = function.invoke()
    answer.post_work()
    assert f"work for {answer.request_id}" in function.output


def test_between_invocations_every_process_is_frozen_even_a_daemon(start: Start) -> None:
    function = start(options())
    answer = function.invoke({"do": "start a daemon", "seconds": 600})
    answer.post_work()
    function.wait_for("frozen")
    daemon = answer.json()
    assert is_stopped(daemon)
    assert function.invoke({"n": 2}).json() == {"n": 2}
    assert how_often(function, "thawed") == 1
    assert how_often(function, "environment-started") == 1


def test_nothing_is_frozen_when_that_is_not_wanted(start: Start) -> None:
    function = start(replace(options(), freeze=False))
    answer = function.invoke({"do": "start a daemon", "seconds": 600})
    answer.post_work()
    assert state(answer.json()) != "T"
    assert how_often(function, "frozen") == 0


def test_no_process_is_left_at_the_end_frozen_or_not() -> None:
    for freeze in (True, False):
        with RunningFunction(replace(options(), freeze=freeze)) as function:
            daemon = function.invoke({"do": "start a daemon", "seconds": 600}).json()
            assert state(daemon) not in {"", "Z"}
        assert state(daemon) in {"", "Z"}


@pytest.mark.parametrize("runner", [True, False])
def test_where_there_is_no_proc_the_process_groups_are_frozen_and_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, runner: bool
) -> None:
    monkeypatch.setattr(sandbox, "PROC", tmp_path / "no-such-directory")
    with RunningFunction(replace(options(), runner=runner)) as function:
        answer = function.invoke({"do": "tell pid"})
        function.wait_for("frozen")
        assert is_stopped(answer.json())
        assert function.invoke({"n": 2}).json() == {"n": 2}
    assert state(answer.json()) in {"", "Z"}


def test_what_the_handler_finishes_after_its_answer_is_part_of_the_invocation(
    start: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    function = start(options("", **{f"{PREFIX}MODE": "WaitUntil"}))
    answer = function.invoke({"do": "finish later", "wait_for": str(gate)})
    assert answer.json() == "answered"
    function.wait_for("poll-held")  # a wait that ends before we have the acknowledgement holds nobody
    assert how_often(function, "waits-ended") == 0
    gate.touch()
    assert answer.post_work() is None
    block = function.wait_complete(answer.request_id, LIMIT_S)
    assert block.answered is not None
    assert block.waits_ended is not None
    assert block.ended is not None
    assert block.answered <= block.waits_ended <= block.ended
    assert block.failures == []


def test_without_the_runner_no_work_is_done_after_the_answer(start: Start) -> None:
    function = start(replace(options("echo never"), runner=False))
    answer = function.invoke({"n": 1})
    assert answer.json() == {"n": 1}
    assert answer.post_work() is None
    assert function.output == []


def test_past_its_timeout_a_function_is_killed_and_the_next_event_starts_it_again(start: Start) -> None:
    function = start(replace(options(), timeout_s=1))
    late = function.invoke({"do": "sleep", "seconds": 600})
    assert late.function_error
    assert late.json()["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in late.json()["errorMessage"]
    assert function.wait_complete(late.request_id, LIMIT_S).failures == ["the function timed out"]
    assert function.invoke({"n": 2}).json() == {"n": 2}
    assert how_often(function, "environment-started") == 2


def test_a_command_that_overruns_is_cut_off_before_the_function_times_out(start: Start) -> None:
    function = start(replace(options("sleep 600", **{f"{PREFIX}MARGIN": "3s"}), timeout_s=4))
    answer = function.invoke({"n": 1})
    work = answer.post_work()
    assert work is not None
    assert work.cut_off_by == "deadline"
    assert function.wait_complete(answer.request_id, LIMIT_S).how_ended == "polled"


@pytest.mark.parametrize("runner", [True, False])
def test_a_handler_that_crashes_fails_its_invocation_and_is_started_for_the_next(
    start: Start, *, runner: bool
) -> None:
    function = start(replace(options(), runner=runner))
    crashed = function.invoke({"do": "exit", "status": 3})
    assert crashed.function_error
    assert crashed.json()["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in crashed.json()["errorMessage"]
    assert function.invoke({"n": 2}).json() == {"n": 2}
    assert function.output.count("leaving") == 1
    assert how_often(function, "environment-started") == 2


@pytest.mark.parametrize(("runner", "words"), [(True, "exit status 137"), (False, "signal: SIGKILL")])
def test_a_handler_that_is_killed_fails_its_invocation(start: Start, *, runner: bool, words: str) -> None:
    function = start(replace(options(), runner=runner))
    assert words in function.invoke({"do": "kill yourself"}).json()["errorMessage"]


def test_a_handler_that_ends_after_its_answer_leaves_the_answer_alone(start: Start) -> None:
    function = start(options())
    answer = function.invoke({"do": "answer and exit"})
    assert answer.json() == "bye"
    assert not answer.function_error
    assert function.wait_complete(answer.request_id, LIMIT_S).how_ended == "crash"


def test_a_handler_that_cannot_start_is_tried_once_for_each_event(start: Start) -> None:
    function = start(options("true", "exit-at-once"))
    for number in (1, 2):
        answer = function.invoke()
        assert answer.json()["errorType"] == "Runtime.ExitError"
        assert "exit status 7" in answer.json()["errorMessage"]
        assert how_often(function, "environment-started") == number
        assert function.output.count("I cannot start") == number


def test_an_init_error_reaches_the_caller(start: Start) -> None:
    answer = start(options("true", "init-error")).invoke()
    assert answer.json() == {"errorMessage": "cannot", "errorType": "Runtime.Cannot"}


def test_a_wrong_setting_reaches_the_caller(start: Start) -> None:
    answer = start(options("true", **{f"{PREFIX}MODE": "AfterResponce"})).invoke()
    assert answer.json()["errorType"] == "Runtime.PostRunnerInvalidConfiguration"
    assert "AfterResponse" in answer.json()["errorMessage"]


@pytest.mark.parametrize("runner", [True, False])
def test_a_handler_that_is_not_there_is_an_error_for_the_caller(start: Start, *, runner: bool) -> None:
    function = start(replace(options(), handler=("no-such-handler",), runner=runner))
    assert function.invoke().json()["errorType"] == "Runtime.ExitError"
    assert any("no-such-handler" in line for line in function.output)


def test_a_handler_that_never_polls_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "INIT_LIMIT_S", 0.5)
    function = start(replace(options(), handler=("sleep", "600"), timeout_s=0.5))
    assert "Init timed out" in function.invoke().json()["errorMessage"]


def test_the_handler_has_the_emulators_variables_and_none_of_ours_for_the_runner(start: Start) -> None:
    environ = start(options(AWS_LAMBDA_FUNCTION_NAME="mine")).invoke({"do": "tell environ"}).json()
    assert environ["AWS_LAMBDA_FUNCTION_NAME"] == "mine"
    assert environ["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "3008"
    assert environ["AWS_LAMBDA_FUNCTION_TIMEOUT"] == "20"
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"]
    assert environ["LAMBDA_TASK_ROOT"] == str(Path.cwd())
    assert environ["TZ"] == ":UTC"
    assert f"{PREFIX}OBSERVER_FD" not in environ


def test_the_command_knows_what_the_caller_said(start: Start) -> None:
    command = 'echo "tenant $AWS_LAMBDA_POST_RUNNER_TENANT_ID, trace $_X_AMZN_TRACE_ID"'
    function = start(options(command))
    url = f"http://{function.address}{INVOKE_PATH}"
    headers = ["-H", "X-Amz-Tenant-Id: blue", "-H", "X-Amzn-Trace-Id: Root=1-a-b"]
    curl = ["curl", "-sSi", *headers, "-d", '{"n": 1}', url]
    done = subprocess.run(curl, check=True, timeout=20, capture_output=True, text=True)
    assert done.stdout.startswith("HTTP/1.1 200 OK")
    assert done.stdout.endswith('{"n": 1}')
    function.wait_for("ended")
    assert "tenant blue, trace Root=1-a-b" in function.output


def test_a_streamed_response_is_seen_part_by_part(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    function = start(options())
    event = json.dumps({"do": "stream", "parts": ["one ", "two ", "three"], "wait_for": str(gate)})
    url = f"http://{function.address}{INVOKE_PATH}"
    with subprocess.Popen(["curl", "-sSN", "-d", event, url], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert curl.stdout.read(4) == b"one "
        assert not gate.exists()
        gate.touch()
        assert curl.stdout.read() == b"two three"
    assert curl.returncode == 0


def test_a_streamed_response_whose_handler_dies_is_cut_for_the_caller(start: Start, tmp_path: Path) -> None:
    function = start(options())
    (tmp_path / "gate").touch()
    event = json.dumps({"do": "stream", "parts": ["one ", "CUT"], "wait_for": str(tmp_path / "gate")})
    url = f"http://{function.address}{INVOKE_PATH}"
    curl = subprocess.run(["curl", "-sSN", "-d", event, url], capture_output=True, timeout=20, check=False)
    assert curl.returncode != 0
    assert curl.stdout == b"one "


def test_sixteen_invocations_at_once_each_have_their_answer_and_their_command(start: Start) -> None:
    command = 'echo "work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"'
    function = start(replace(options(command, "fork"), concurrency=16))
    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(function.invoke, range(16)))
    assert [answer.json() for answer in answers] == list(range(16))
    works = [answer.post_work() for answer in answers]
    assert [work.request_id for work in works if work is not None] == [each.request_id for each in answers]
    assert {f"work for {answer.request_id}" for answer in answers} <= set(function.output)
    assert how_often(function, "frozen") == 0
    assert how_often(function, "environment-started") == 1


def test_invocations_wait_for_their_turn_where_only_one_can_be_taken(start: Start) -> None:
    function = start(options())
    with ThreadPoolExecutor(4) as callers:
        assert [each.json() for each in callers.map(function.invoke, range(4))] == [0, 1, 2, 3]


@pytest.mark.parametrize("environ", [{f"{PREFIX}DISABLED": "for this test"}, {f"{PREFIX}MODE": "AfterError"}])
def test_on_managed_instances_an_invocation_that_no_command_follows_ends_with_its_answer(
    start: Start, environ: dict[str, str]
) -> None:
    answer = start(replace(options("true", "fork", **environ), concurrency=2)).invoke({"n": 1})
    assert answer.post_work() is None


def test_on_managed_instances_a_late_invocation_fails_and_the_handler_lives_on(start: Start) -> None:
    function = start(replace(options("true", "fork"), concurrency=2, timeout_s=1, runner=False))
    late = function.invoke({"do": "sleep", "seconds": 3})
    assert late.json()["errorType"] == "Sandbox.Timedout"
    assert function.invoke({"n": 2}).json() == {"n": 2}
    assert how_often(function, "environment-started") == 1


def test_past_its_timeout_what_lambda_would_kill_is_shown(start: Start) -> None:
    """What a command before the timeout has left running; that the handler is killed goes without saying."""
    variables = {f"{PREFIX}MODE": "BeforeTimeout", f"{PREFIX}MARGIN": "4s"}
    function = start(replace(options("sleep 600 &", **variables), timeout_s=5))
    late = function.invoke({"do": "sleep", "seconds": 600})
    block = function.wait_complete(late.request_id, LIMIT_S)
    assert block.command["outcome"] == "timeout"
    assert block.failures == ["the function timed out", "Lambda would have killed: sleep 600"]


def test_the_metrics_say_what_the_timeline_shows(start: Start) -> None:
    """The post work has the command within it, and lies, with the answer, between the event and the next poll."""
    function = start(options("sleep 0.5", **{f"{PREFIX}METRICS": "emf", f"{PREFIX}TIMEOUT": "10s"}))
    blocks = []
    for number in range(3):
        answer = function.invoke({"n": number})
        assert answer.post_work() is not None
        blocks.append(function.wait_complete(answer.request_id, LIMIT_S))
    lines = [json.loads(line) for line in function.output if '"PostMs"' in line]
    assert [line["requestId"] for line in lines] == [block.request_id for block in blocks]
    for block, line in zip(blocks, lines, strict=True):
        assert block.handed is not None
        assert block.command_began is not None
        assert block.command_ended is not None
        assert block.ended is not None
        command, whole = block.command_ended - block.command_began, block.ended - block.handed
        assert command * 1000 - 1 <= line["PostMs"]
        assert line["AnswerMs"] + line["PostMs"] <= whole * 1000 + 1
        assert 0 < line["HeldMs"] <= line["PostMs"]
        assert line["BudgetLeftMs"] == pytest.approx(10_000 - line["PostMs"], abs=5)
