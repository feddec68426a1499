"""What happens seldom, and must be right all the same."""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aws_lambda_post_runner import origin
from aws_lambda_post_runner.post.breaker import Breaker, Ticket
from post_runner import _waits

from .conftest import Prepare, Start
from .fake_runtime_api import FakeRuntimeApi, hang_up
from .running import PREFIX, Stage

CHANGED = """
import sys
from aws_lambda_post_runner import ambient, build, entry
from aws_lambda_post_runner.post import metrics

def broken(*_):
    raise RuntimeError("nobody foresaw this")

{change}
sys.exit(entry.main())
"""


def test_a_wait_without_any_budget_ends_when_the_handler_says_so(prepare: Prepare) -> None:
    """No deadline was told, and no timeout was set."""
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=None)
    opened = helper.exchange("POST", f"/post-runner/v1/invocation/{request_id}/wait")
    handler.answer(request_id)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    token = json.loads(opened.body)["token"]
    assert helper.exchange("DELETE", f"/post-runner/v1/wait/{token}").status == 202
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 0
    stage.runner.await_event("poll-relayed", nth=2)


def test_an_ordinary_command_that_cannot_be_judged_lets_the_next_one_run() -> None:
    breaker = Breaker(1, 60.0)
    breaker.give_back(Ticket.ORDINARY)
    assert breaker.admit(0.0) is Ticket.ORDINARY


def test_a_misspelt_variable_is_told_beside_a_wrong_one(start: Start) -> None:
    runner = start(environment={PREFIX + "COMMAND": ":", PREFIX + "MODE": "never", PREFIX + "TIMEOUTS": "3s"})
    assert runner.wait() == 1
    warning, error = runner.said().splitlines()
    assert PREFIX + "TIMEOUTS" in warning
    assert PREFIX + "MODE" in error


def changed(change: str) -> list[str]:
    """A runner with something in it changed."""
    return [sys.executable, "-c", CHANGED.format(change=change)]


def test_an_account_that_cannot_be_kept_is_logged_with_its_traceback_and_the_function_goes_on(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    runner = start(runner=changed("metrics.Metrics.keep = broken"), COMMAND=":", METRICS="emf")
    handler = runner.connect()
    for _ in range(2):
        request_id = runtime_api.invoke()
        assert handler.poll() == request_id
        assert handler.answer(request_id).status == 202
    runner.end_handler(5)
    assert runner.wait() == 5
    assert runner.said().count("RuntimeError: nobody foresaw this") == 2


def test_how_this_build_was_started_is_told_to_whoever_looks_for_a_fault(start: Start) -> None:
    runner = start(["true"], runner=changed("build.STARTED = 'started anew'"), COMMAND=":", LOG_LEVEL="debug")
    assert runner.wait() == 0
    assert "started anew" in runner.said()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_of_any_kind_that_gets_no_answer_ends_the_handlers_connection(
    stage: Stage, method: str
) -> None:
    stage.runtime_api.plan("/2020-01-01/extension/register", hang_up)
    handler = stage.runner.connect()
    handler.ask(method, "/2020-01-01/extension/register", b"")
    assert handler.is_closed_by_peer()


def test_a_misspelt_variable_is_told_and_the_handler_runs(start: Start) -> None:
    runner = start(["true"], environment={PREFIX + "COMMAND": ":", PREFIX + "TIMEOUTS": "3s"})
    assert runner.wait() == 0
    assert f"{PREFIX}TIMEOUTS is not a setting" in runner.said()


def test_what_cannot_be_read_or_is_not_there_is_not_ourselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper whose first line names nothing that exists, and one that we may run and not read."""
    ours = tmp_path / "ours"
    ours.touch(0o755)
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(ours)])
    assert not origin.is_ourselves(str(script))
    assert origin.is_ourselves(str(ours))
    monkeypatch.setattr(Path, "open", unreadable)
    assert not origin.is_ourselves(str(script))


def unreadable(*_: object) -> None:
    raise PermissionError


def test_where_no_clock_tells_when_we_were_started_our_own_time_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert 0 < origin.seconds_since_start() < 3600


def test_where_the_file_for_node_is_not_there_that_is_told_and_the_handler_runs(start: Start) -> None:
    gone = changed("ambient.preload_file = lambda *_: None")
    runner = start(["true"], runner=gone, COMMAND=":", AMBIENT="next")
    assert runner.wait() == 0
    assert "AMBIENT does nothing" in runner.said()


NO_MORE_THREADS = """
import trio

start_thread = trio._threads.start_thread_soon

def start_thread_soon(*arguments):
    if left:
        left.pop()
        return start_thread(*arguments)
    raise RuntimeError("can't start new thread")

trio._threads.start_thread_soon = start_thread_soon
"""


def test_a_handler_for_which_no_thread_can_be_started_is_named_in_one_line(start: Start) -> None:
    """Threads and processes have one limit, and trio starts a process in a thread."""
    runner = start(["true"], runner=changed(f"left = []\n{NO_MORE_THREADS}"), COMMAND=":")
    assert runner.wait() == 126
    [line] = runner.said().splitlines()
    assert line.endswith("the handler cannot be started: true: Resource temporarily unavailable")


def test_a_post_command_for_which_no_thread_can_be_started_was_not_started_and_that_is_one_line(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    runner = start(runner=changed(f"left = [1]\n{NO_MORE_THREADS}"), COMMAND=":", SHELL="/bin/sh")
    handler = runner.connect()
    for _ in range(2):
        request_id = runtime_api.invoke()
        assert handler.poll() == request_id
        assert handler.answer(request_id).status == 202
    runner.end_handler(5)
    assert runner.wait() == 5
    said = runner.said()
    assert said.count("the post command was not started: /bin/sh: Resource temporarily unavailable") == 2
    assert "Traceback" not in said


@pytest.mark.parametrize("it", [print, threading.Thread()], ids=["a call", "a thread"])
def test_where_no_thread_can_be_started_the_caller_is_told_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, it: Callable[[], None] | threading.Thread
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(_waits, "open_wait", lambda *_: "token")
    monkeypatch.setattr(_waits, "end_wait", ended.append)
    monkeypatch.setattr(threading.Thread, "start", too_many)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        _waits.wait_until(it)
    assert ended == ["token"]


def too_many(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
