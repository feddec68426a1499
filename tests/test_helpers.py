"""The helpers that functions use, in Python and in Node: with the runner between, and without."""

import ast
import asyncio
import contextvars
import datetime as dt
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import aws_lambda_post_runner
import post_runner
from post_runner import _runner, _waits
from post_runner.flush import flush, flush_after

from .conftest import Prepare
from .fake_runtime_api import PATIENCE, FakeRuntimeApi, hang_up, reply_bytes
from .running import HandlerConnection, Running, Stage, wait_until

ADDRESS = "AWS_LAMBDA_RUNTIME_API"
NODE_HELPER = Path(aws_lambda_post_runner.__file__).parent / "layer/nodejs/post-runner"


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: what is said once has not been said."""
    monkeypatch.setattr(_runner, "_warned", set())


@pytest.fixture
def waiting(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A runner in mode WaitUntil, which the helper finds as it would in a handler."""
    stage = prepare(MODE="WaitUntil", COMMAND="")
    monkeypatch.setenv(ADDRESS, "{}:{}".format(*stage.runner.address))
    return stage


@pytest.fixture
def on_request(prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """A runner in mode OnRequest, whose command keeps its input in `input`."""
    stage = prepare(MODE="OnRequest")
    stage.run_after(f"cat > {tmp_path / 'input'}")
    monkeypatch.setenv(ADDRESS, "{}:{}".format(*stage.runner.address))
    return stage


def answer_and_poll(stage: Stage, handler: HandlerConnection, request_id: str) -> None:
    """Answer the invocation; the poll after that is held."""
    assert handler.answer(request_id).status == 202
    handler.send_poll()
    stage.runner.await_event("poll-held")
    assert stage.runner.events("waits-ended") == []


def poll_goes_on(runner: Running, request_id: str) -> bool:
    runner.await_event("poll-relayed", nth=2)
    return bool(runner.await_event("waits-ended", request_id)["expired"] == 0)


# Python, with the runner


def test_work_reaches_the_command_as_lines(on_request: Stage, tmp_path: Path) -> None:
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    day = dt.date(2026, 11, 24)
    for data in ("text, with ü", b"\x00bytes", {"user": 7}, ["a\nb"], {"day": day}):
        assert post_runner.work(data)
    assert post_runner.work("by its id", request_id=request_id)
    handler.answer(request_id)
    on_request.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "input").read_bytes().split(b"\n") == [
        "text, with ü".encode(),
        b"\x00bytes",
        b'{"user": 7}',
        b'["a\\nb"]',
        b'{"day": "2026-11-24"}',
        b"by its id",
        b"",
    ]


def test_work_that_the_runner_refuses_is_not_taken(on_request: Stage) -> None:
    assert not post_runner.work("for nobody")
    handler = on_request.runner.connect()
    on_request.next_invocation(handler)
    assert not post_runner.work("for an unknown one", request_id="no-such-id")
    assert not post_runner.work(b"x" * 2_000_000)
    assert not post_runner.work("for two\r\n\r\nat once", request_id="a b\r\n")


def test_a_held_block_keeps_the_poll_until_it_has_ended(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    with post_runner.hold():
        answer_and_poll(waiting, handler, request_id)
    assert poll_goes_on(waiting.runner, request_id)


def test_a_held_block_that_raises_has_ended_too(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    with suppress(ZeroDivisionError), post_runner.hold(request_id):
        answer_and_poll(waiting, handler, request_id)
        raise ZeroDivisionError
    assert poll_goes_on(waiting.runner, request_id)


def test_a_future_is_waited_for(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    future: Future[int] = Future()
    post_runner.wait_until(future)
    answer_and_poll(waiting, handler, request_id)
    future.set_result(1)
    assert poll_goes_on(waiting.runner, request_id)


@pytest.mark.parametrize("is_started", [False, True])
def test_a_thread_is_waited_for_and_started_if_it_was_not(waiting: Stage, *, is_started: bool) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, args=[PATIENCE])
    if is_started:
        thread.start()
    post_runner.wait_until(thread)
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)


def test_a_coroutine_runs_in_a_thread_with_the_handlers_context(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()
    trace = contextvars.ContextVar("trace", default="none")
    trace.set("begun in the handler")
    seen = []

    async def work() -> None:
        seen.append(trace.get())
        await asyncio.to_thread(go_on.wait, PATIENCE)

    post_runner.wait_until(work())
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)
    assert seen == ["begun in the handler"]


def test_a_task_of_a_running_loop_is_waited_for(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)

    async def handle() -> None:
        go_on = asyncio.Event()
        task = asyncio.create_task(go_on.wait())
        post_runner.wait_until(task)
        await asyncio.to_thread(answer_and_poll, waiting, handler, request_id)
        go_on.set()
        await task

    asyncio.run(handle())
    assert poll_goes_on(waiting.runner, request_id)


def test_what_fails_has_ended(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()

    async def fail() -> None:
        await asyncio.to_thread(go_on.wait, PATIENCE)
        raise ZeroDivisionError

    post_runner.wait_until(fail())
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)


def test_of_two_invocations_in_flight_each_is_named(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = prepare(MODE="OnRequest", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    stage.run_after(f'cat > {tmp_path}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"')
    monkeypatch.setenv(ADDRESS, "{}:{}".format(*stage.runner.address))
    handlers = stage.runner.connect(), stage.runner.connect()
    ids = [stage.next_invocation(handler) for handler in handlers]
    assert not post_runner.work("whose?")
    assert [post_runner.work(f"for {each}", request_id=each) for each in ids] == [True, True]
    for handler, request_id in zip(handlers, ids, strict=True):
        handler.answer(request_id)
        stage.runner.await_event("post-command-ended", request_id)
        assert (tmp_path / request_id).read_text() == f"for {request_id}\n"


ONE_OF_TWO = """
import socket, sys
import post_runner
connections = [socket.create_connection(sys.argv[1].split(":")) for _ in range(int(sys.argv[2]))]
for connection in connections:
    connection.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(connection.recv(65536).lower().partition(b"request-id: ")[2].split()[0].decode(), flush=True)
print(post_runner.work("mine"), flush=True)
input()
"""
"""A process that polls on so many connections, and then hands over work without saying for which invocation."""


class Worker:
    """One of the processes of a runtime client for several invocations at once."""

    def __init__(self, stage: Stage, connections: int = 1) -> None:
        address = "{}:{}".format(*stage.runner.address)
        self._process = subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, address, str(connections)],
            env={**os.environ, ADDRESS: address, "AWS_LAMBDA_MAX_CONCURRENCY": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate("\n", timeout=PATIENCE)


@pytest.mark.usefixtures("several_at_once")
def test_where_there_is_no_proc_a_process_asks_for_the_current_invocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "listdir", refuse)
    assert _runner._that_is("current") == "current"


@pytest.mark.usefixtures("several_at_once")
def test_connections_to_others_are_none_of_the_runners() -> None:
    """Nor is a listener, or one that was closed at the other end."""
    one, other = socket.socketpair()
    with one, other, socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        with connection:
            assert _runner._that_is("current") == "current"


def test_connections_to_the_runner_tell_which_invocation_is_meant(several_at_once: socket.socket) -> None:
    with socket.create_connection(several_at_once.getsockname()) as connection:
        assert _runner._that_is("current") == f"on:{connection.getsockname()[1]}"
        assert _runner._that_is("by its id") == "by its id"


@pytest.fixture
def several_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Something in the runner's place, for a function that has several invocations in flight."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv(ADDRESS, "{}:{}".format(*listener.getsockname()))
        monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        yield listener


def refuse(_: str) -> list[str]:
    raise FileNotFoundError


def test_of_two_processes_each_hands_over_work_for_its_own_invocation(
    prepare: Prepare, tmp_path: Path
) -> None:
    stage = prepare(MODE="OnRequest", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    stage.run_after(f'cat > {tmp_path}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"')
    other = stage.next_invocation(stage.runner.connect())
    mine = stage.runtime_api.invoke()
    worker = Worker(stage)
    assert worker.read() == mine
    assert worker.read() == "True"
    handler = stage.runner.connect()
    handler.answer(other)
    handler.answer(mine)
    stage.runner.await_event("post-command-ended", mine)
    assert (tmp_path / mine).read_text() == "mine\n"
    assert stage.runner.events("post-command-ended", other) == []
    worker.end()


def test_a_process_with_two_invocations_has_to_say_which_it_means(prepare: Prepare) -> None:
    stage = prepare(MODE="OnRequest", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    ids = {stage.runtime_api.invoke() for _ in range(2)}
    worker = Worker(stage, connections=2)
    assert {worker.read(), worker.read()} == ids
    assert worker.read() == "False"
    worker.end()


# Python, what waits are called


def test_a_wait_is_called_what_it_is_called_in_python() -> None:
    async def coroutine() -> None: ...

    thread = threading.Thread(name="archive")
    unnamed: Future[None] = Future()
    running = coroutine()
    here = "test_a_wait_is_called_what_it_is_called_in_python.<locals>"
    things = [sleep_long, functools.partial(sleep_long), thread, unnamed, running]
    names = ["sleep_long", "sleep_long", "archive", "", f"{here}.coroutine"]
    assert [_waits.name_of(each) for each in things] == names
    running.close()


def test_the_name_of_a_wait_is_sent(runtime_api: FakeRuntimeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, runtime_api.address)
    with post_runner.hold(name="archive"):
        pass
    assert runtime_api.await_whole_request("/wait").body == b'{"name": "archive"}'


# Python: what fails, and what cannot be


@pytest.fixture
def log_at_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What had been logged each time that a wait ended."""
    logged: list[str] = []
    end_wait = _runner.end_wait

    def note_and_end(token: str) -> None:
        logged.append(caplog.text)
        end_wait(token)

    for module in (_runner, _waits):
        monkeypatch.setattr(module, "end_wait", note_and_end)
    return logged


def fail() -> None:
    raise ZeroDivisionError


def sleep_long() -> None:
    time.sleep(3600)


async def fail_later() -> None:
    raise ZeroDivisionError


def failed_future() -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(ZeroDivisionError())
    return future


@pytest.mark.parametrize("make", [fail_later, failed_future, lambda: fail, lambda: fail_later])
def test_a_failure_is_logged_with_its_traceback_before_the_wait_ends(
    waiting: Stage, log_at_end: list[str], make: Callable[[], Any]
) -> None:
    handler = waiting.runner.connect()
    waiting.next_invocation(handler)
    post_runner.wait_until(make())
    wait_until(lambda: log_at_end, "the end of the wait")
    assert "ZeroDivisionError" in log_at_end[0]


def test_a_task_that_fails_is_logged_before_the_wait_ends(waiting: Stage, log_at_end: list[str]) -> None:
    handler = waiting.runner.connect()
    waiting.next_invocation(handler)

    async def handle() -> None:
        task = asyncio.create_task(fail_later())
        post_runner.wait_until(task)
        await asyncio.wait([task])

    asyncio.run(handle())
    wait_until(lambda: log_at_end, "the end of the wait")
    assert "ZeroDivisionError" in log_at_end[0]


def test_a_held_block_of_a_thread_that_fails_is_logged_before_the_hold_ends(
    waiting: Stage, log_at_end: list[str]
) -> None:
    handler = waiting.runner.connect()
    waiting.next_invocation(handler)

    def archive(held: post_runner.Hold) -> None:
        with suppress(ZeroDivisionError), held:
            fail()

    thread = threading.Thread(target=archive, args=[post_runner.hold()])
    thread.start()
    thread.join()
    assert "ZeroDivisionError" in log_at_end[0]


def test_a_thread_is_given_its_hold_and_lets_go_when_its_block_ends(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()

    def archive(held: post_runner.Hold) -> None:
        go_on.wait(PATIENCE)  # the thread reaches its block only after the answer
        with held:
            pass

    threading.Thread(target=archive, args=[post_runner.hold()]).start()
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)


def test_a_hold_can_be_released_twice(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    with post_runner.hold() as held:
        held.release()
    handler.answer(request_id)
    handler.send_poll()
    waiting.runner.await_event("poll-relayed", nth=2)
    assert waiting.runner.events("poll-held") == []


def test_a_callable_is_called_and_waited_for(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()
    post_runner.wait_until(lambda: go_on.wait(PATIENCE))
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)


@pytest.mark.parametrize("is_async", [False, True])
def test_each_call_of_a_background_function_is_waited_for(waiting: Stage, *, is_async: bool) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()
    welcomed = []

    @post_runner.background
    def welcome(name: str) -> None:
        go_on.wait(PATIENCE)
        welcomed.append(name)

    @post_runner.background
    async def welcome_later(name: str) -> None:
        await asyncio.to_thread(go_on.wait, PATIENCE)
        welcomed.append(name)

    (welcome_later if is_async else welcome)("Ada")
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)
    assert welcomed == ["Ada"]


def test_a_task_whose_loop_has_stopped_does_not_hold_the_poll(
    waiting: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)

    async def handle() -> asyncio.Task[None]:
        task = asyncio.create_task(asyncio.sleep(3600))
        post_runner.wait_until(task)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(handle())
    handler.answer(request_id)
    handler.send_poll()
    assert poll_goes_on(waiting.runner, request_id)
    assert "its event loop no longer runs" in caplog.text
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()


@pytest.mark.parametrize("with_runner", [True, False])
@pytest.mark.parametrize("it", [None, 7, "text", [fail], threading.Thread])
@pytest.mark.usefixtures("waiting")
def test_what_cannot_be_waited_for_is_an_error_at_the_call(
    monkeypatch: pytest.MonkeyPatch, it: Any, *, with_runner: bool
) -> None:
    if not with_runner:
        monkeypatch.delenv(ADDRESS)
    with pytest.raises(TypeError, match="wait_until takes"):
        post_runner.wait_until(it)


# Python, and what gathers in memory


def test_a_flush_is_waited_for_and_the_handlers_answer_is_its_own(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    go_on = threading.Event()

    @flush_after(lambda: go_on.wait(PATIENCE))
    def handle(event: str) -> str:
        return event.upper()

    assert handle("event") == "EVENT"
    answer_and_poll(waiting, handler, request_id)
    go_on.set()
    assert poll_goes_on(waiting.runner, request_id)


def test_a_handler_that_fails_is_flushed_after_too() -> None:
    flushed = threading.Event()
    with pytest.raises(ZeroDivisionError):
        flush_after(flushed.set)(fail)()
    assert flushed.wait(PATIENCE)


@pytest.mark.parametrize(
    ("function", "said"),
    [(fail, "ZeroDivisionError"), (lambda: False, "says that it has failed"), (sleep_long, "is left alone")],
)
def test_a_flush_that_does_not_do_well_is_logged_before_the_wait_ends(
    waiting: Stage, log_at_end: list[str], function: Callable[[], object], said: str
) -> None:
    handler = waiting.runner.connect()
    waiting.next_invocation(handler)
    flush(function, cap=0.1)
    wait_until(lambda: log_at_end, "the end of the wait")
    assert said in log_at_end[0]


# Python: work that no command gets


class Unspeakable:
    def __str__(self) -> str:
        raise ZeroDivisionError


CIRCLE: dict[str, Any] = {}
CIRCLE["circle"] = CIRCLE


@pytest.mark.parametrize("data", [CIRCLE, {(1, 2): 3}, "\ud800", Unspeakable()])
def test_what_cannot_be_sent_is_not_taken_and_does_not_raise(
    on_request: Stage, caplog: pytest.LogCaptureFixture, data: object
) -> None:
    on_request.next_invocation(on_request.runner.connect())
    assert not post_runner.work(data)
    assert "cannot be sent" in caplog.text


@pytest.mark.parametrize("data", [bytearray(b"\xff"), memoryview(b"\xff"), "\udcff"])
def test_whatever_holds_bytes_is_sent_as_they_are(on_request: Stage, tmp_path: Path, data: object) -> None:
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    assert post_runner.work(data)
    handler.answer(request_id)
    on_request.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "input").read_bytes() == b"\xff\n"


def test_in_mode_wait_until_no_work_is_taken_and_that_is_said_once(
    waiting: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    waiting.next_invocation(waiting.runner.connect())
    assert [post_runner.work("x") for _ in range(3)] == [False] * 3
    (record,) = caplog.records
    assert record.getMessage() == (
        "no command gets this work: the runner answered 409: no command runs in mode WaitUntil"
    )


def test_an_answered_invocation_takes_no_work_and_that_is_said_once(
    on_request: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    handler.answer(request_id)
    assert [post_runner.work("x", request_id) for _ in range(2)] == [False] * 2
    (record,) = caplog.records
    assert "404: no such invocation is in flight" in record.getMessage()


# Python, without the runner


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture(
    params=["unset", "no address", "no port", "refused", "another", "hangs up", "babble", "silent"]
)
def absent(
    request: pytest.FixtureRequest, runtime_api: FakeRuntimeApi, silent: socket.socket
) -> Iterator[str | None]:
    """Values of AWS_LAMBDA_RUNTIME_API under which there is no runner."""
    match request.param:
        case "unset":
            yield None
        case "no address":
            yield "nonsense"
        case "no port":
            yield "127.0.0.1:port"
        case "refused":
            with socket.socket() as bound:
                bound.bind(("127.0.0.1", 0))
                yield f"127.0.0.1:{bound.getsockname()[1]}"
        case "hangs up":
            for ending in ("/work", "/wait"):
                runtime_api.plan(ending, *[hang_up] * 4)
            yield runtime_api.address
        case "babble":
            for ending in ("/work", "/wait"):
                runtime_api.plan(ending, *[reply_bytes(b"what?\r\n\r\n")] * 4)
            yield runtime_api.address
        case "silent":
            yield f"127.0.0.1:{silent.getsockname()[1]}"
        case _:
            yield runtime_api.address


def test_without_the_runner_the_work_goes_on_and_nobody_waits(
    absent: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if absent is None:
        monkeypatch.delenv(ADDRESS, raising=False)
    else:
        monkeypatch.setenv(ADDRESS, absent)
    # A server that speaks no HTTP, or does not end what it says, costs our patience and no more.
    monkeypatch.setattr(_runner, "PATIENCE", 0.1)
    done = [threading.Event() for _ in range(3)]

    async def work() -> None:
        done[0].set()

    began = time.monotonic()
    assert [post_runner.work("x") for _ in range(2)] == [False, False]
    with post_runner.hold():
        pass
    post_runner.wait_until(work())
    post_runner.wait_until(threading.Thread(target=done[1].set))
    future: Future[None] = Future()
    post_runner.wait_until(future)
    future.add_done_callback(lambda _: done[2].set())
    future.set_result(None)
    assert time.monotonic() - began < 5.0
    assert all(each.wait(PATIENCE) for each in done)
    assert len([record for record in caplog.records if "no command gets" in record.getMessage()]) == 1


def test_the_helper_costs_a_function_next_to_no_start_up_time() -> None:
    script = "import sys; before = set(sys.modules); import post_runner; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    heavy = {"asyncio", "concurrent.futures", "http.client", "json", "socket", "threading", "typing"}
    assert heavy.isdisjoint(done.stdout.split())


def test_the_helper_is_written_for_the_pythons_that_lambda_still_has() -> None:
    for path in Path(post_runner.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 10))


# Node


def test_the_package_for_node_has_our_version() -> None:
    described = json.loads((NODE_HELPER / "package.json").read_text())
    assert described["version"] == aws_lambda_post_runner.__version__


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


class Node:
    """A process of Node that runs a script with the helper at hand; the test can talk to it."""

    def __init__(self, script: str, address: str | None, *arguments: str) -> None:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HELPER": str(NODE_HELPER)}
        if address is not None:
            environment[ADDRESS] = address
        self.process = subprocess.Popen(
            ["node", *arguments, script],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        """The next line that the script prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """Give the script a line to read."""
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Wait for it to end by itself, and well; return what it said on standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        return errors


def node(script: str, stage: Stage) -> Node:
    return Node("const postRunner = require(process.env.HELPER);" + script, address_of(stage), "-e")


def address_of(stage: Stage) -> str:
    return "{}:{}".format(*stage.runner.address)


@needs_node
def test_node_hands_over_work_in_order(on_request: Stage, tmp_path: Path) -> None:
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    script = """
        const circle = {}; circle.circle = circle;
        const all = ["text, with ü", Buffer.from([0, 255]), { user: 7 }, ["a\\nb"], 7n, undefined, circle];
        Promise.all(all.map((data) => postRunner.work(data))).then((taken) => console.log(JSON.stringify(taken)));
    """
    process = node(script, on_request)
    assert json.loads(process.read()) == [True] * 6 + [False]
    assert "cannot be sent" in process.end()
    handler.answer(request_id)
    on_request.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "input").read_bytes() == (
        "text, with ü\n".encode() + b'\x00\xff\n{"user":7}\n["a\\nb"]\n"7"\n\n'
    )


@needs_node
@pytest.mark.parametrize("when", ["ask()", "process.nextTick(ask)", "setTimeout(ask, 100)"])
def test_node_need_not_await_what_it_asks(on_request: Stage, tmp_path: Path, when: str) -> None:
    """The work has arrived although the event loop has not turned since: Node's runtime client blocks it.

    As far as Node knows, the helper's connection is not yet open when it has just been required, in the handler
    perhaps, nor on the next tick.
    """
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    script = f"""
        function ask() {{
            postRunner.work("not awaited");
            require("fs").writeSync(1, "asked\\n");
            require("fs").readSync(0, Buffer.alloc(10));
        }}
        {when};
    """
    process = node(script, on_request)
    assert process.read() == "asked"
    handler.answer(request_id)
    on_request.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "input").read_bytes() == b"not awaited\n"
    process.go_on()
    assert process.end() == ""


@needs_node
@pytest.mark.parametrize("outcome", ["resolve", "reject"])
def test_node_is_waited_for_until_its_promise_has_settled(waiting: Stage, outcome: str) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    script = f"""
        const settled = new Promise((resolve, reject) => process.stdin.once("data", () => {outcome}("why")));
        postRunner.waitUntil(settled).then((waits) => console.log(waits));
        settled.catch(() => {{}}).then(() => process.stdin.destroy());
    """
    process = node(script, waiting)
    assert process.read() == "true"
    answer_and_poll(waiting, handler, request_id)
    process.go_on()
    assert poll_goes_on(waiting.runner, request_id)
    assert process.end().startswith("post-runner:" if outcome == "reject" else "")


@needs_node
def test_node_keeps_what_it_was_told_while_its_event_loop_was_blocked(waiting: Stage) -> None:
    """A response that goes up slowly blocks the loop for longer than the helper's patience."""
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    script = """
        setTimeout(() => {
            postRunner.waitUntil(new Promise((resolve) => setTimeout(resolve, 50))).then((it) => console.log(it));
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
        }, 100);
    """
    process = node(script, waiting)
    assert process.read() == "true"
    process.end()
    handler.answer(request_id)
    assert waiting.next_invocation(handler) != request_id
    assert waiting.runner.events("poll-held") == []


@needs_node
def test_node_names_the_invocation(on_request: Stage) -> None:
    handler = on_request.runner.connect()
    request_id = on_request.next_invocation(handler)
    script = f"""
        const ids = ["{request_id}", "no-such-id"];
        Promise.all(ids.map((id) => postRunner.work("x", id))).then((taken) => console.log(JSON.stringify(taken)));
    """
    process = node(script, on_request)
    assert json.loads(process.read()) == [True, False]
    process.end()


@needs_node
def test_a_module_of_node_can_import_it(waiting: Stage, tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    modules.mkdir()
    (modules / "post-runner").symlink_to(NODE_HELPER)
    script = tmp_path / "handler.mjs"
    script.write_text(
        "import { work, waitUntil } from 'post-runner'; console.log(typeof work, typeof waitUntil);"
    )
    process = Node(str(script), address_of(waiting))
    assert process.read() == "function function"
    assert process.end() == ""


@needs_node
def test_without_the_runner_nodes_work_goes_on_and_nobody_waits(absent: str | None) -> None:
    script = """
        const postRunner = require(process.env.HELPER);
        const done = new Promise((resolve) => setTimeout(() => resolve("done"), 10));
        Promise.all([postRunner.work("x"), postRunner.waitUntil(done), done]).then((all) => console.log(...all));
    """
    process = Node(script, absent, "-e")
    assert process.read() == "false false done"
    assert process.end() == "post-runner: no command gets this work: the runner is not there\n"


@needs_node
def test_node_says_once_that_no_command_gets_the_work(waiting: Stage) -> None:
    waiting.next_invocation(waiting.runner.connect())
    process = node("postRunner.work('x').then(() => postRunner.work('y')).then(console.log);", waiting)
    assert process.read() == "false"
    assert process.end() == (
        "post-runner: no command gets this work: the runner answered 409: no command runs in mode WaitUntil\n"
    )


@needs_node
@pytest.mark.parametrize("how", ["() => end", "async () => end", "{ then: (settled) => end.then(settled) }"])
def test_node_waits_for_functions_and_for_whatever_has_a_then(waiting: Stage, how: str) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    script = f"""
        const end = new Promise((resolve) => process.stdin.once("data", resolve));
        postRunner.waitUntil({how}).then((waits) => console.log(waits));
        end.then(() => process.stdin.destroy());
    """
    process = node(script, waiting)
    assert process.read() == "true"
    answer_and_poll(waiting, handler, request_id)
    process.go_on()
    assert poll_goes_on(waiting.runner, request_id)
    assert process.end() == ""


@needs_node
def test_a_function_that_throws_is_logged_by_node_and_harms_nobody(waiting: Stage) -> None:
    handler = waiting.runner.connect()
    request_id = waiting.next_invocation(handler)
    process = node("postRunner.waitUntil(() => { throw new RangeError('why'); }).then(console.log);", waiting)
    assert process.read() == "true"
    assert "RangeError: why" in process.end()
    handler.answer(request_id)
    assert waiting.next_invocation(handler) != request_id


@needs_node
@pytest.mark.parametrize("it", ["undefined", "null", "7", "'text'", "[Promise.resolve()]"])
def test_what_node_cannot_wait_for_is_an_error_at_the_call(it: str) -> None:
    script = f"""
        const postRunner = require(process.env.HELPER);
        try {{ postRunner.waitUntil({it}); }} catch (error) {{ console.log(error.name); }}
    """
    process = Node(script, None, "-e")
    assert process.read() == "TypeError"
    assert process.end() == ""


@needs_node
def test_node_takes_the_invocation_from_the_runtime_clients_store(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(MODE="OnRequest", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    stage.run_after(f'cat > {tmp_path}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"')
    handlers = stage.runner.connect(), stage.runner.connect()
    ids = [stage.next_invocation(handler) for handler in handlers]
    script = f"""
        const {{ AsyncLocalStorage }} = require("node:async_hooks");
        const store = new AsyncLocalStorage();
        globalThis.awslambda = {{ InvokeStore: {{ getRequestId: () => store.getStore() ?? "-" }} }};
        const all = {json.dumps(ids)}.map((id) => store.run(id, async () => postRunner.work(id)));
        Promise.all(all).then((taken) => console.log(JSON.stringify(taken)));
    """
    process = node(script, stage)
    assert json.loads(process.read()) == [True, True]
    process.end()
    for handler, request_id in zip(handlers, ids, strict=True):
        handler.answer(request_id)
        stage.runner.await_event("post-command-ended", request_id)
        assert (tmp_path / request_id).read_text() == f"{request_id}\n"
