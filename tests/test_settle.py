"""SETTLE: the poll is held a little after each answer, until the handler's processes are quiet."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from aws_lambda_post_runner.post import settle
from aws_lambda_post_runner.post.quiet import is_quiet, look_at
from aws_lambda_post_runner.post.settle import Settling

from .conftest import Prepare, Start
from .fake_runtime_api import PATIENCE, FakeRuntimeApi
from .running import Running, wait_until

IN_A_CHILD = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], *sys.argv[2:]])"
ASKS = """
import os, socket, sys
print(os.environ.get("AWS_LAMBDA_RUNTIME_API"), flush=True)
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for _ in sys.stdin:
    connection.sendall(b"spans")
    connection.recv(100)
"""
"""Sends something to a port for each line that it reads, and waits for the answer."""


class Server:
    """Answers when the test says so."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self._connection: socket.socket | None = None

    def take(self) -> None:
        """Wait for the client, and for what it sends."""
        if self._connection is None:
            self._connection, _ = self._listener.accept()
            self._connection.settimeout(PATIENCE)
        assert self._connection.recv(100) == b"spans"

    def answer(self) -> None:
        assert self._connection is not None
        self._connection.sendall(b"taken")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """What a handler's exporter sends to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        server = Server(listener)
        yield server
        server.close()


@pytest.fixture(params=["itself", "a child"])
def asking(request: pytest.FixtureRequest, server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A process that asks, or whose child does."""
    code = [ASKS] if request.param == "itself" else [IN_A_CHILD, ASKS]
    process = subprocess.Popen(
        [sys.executable, "-c", *code, str(server.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    assert process.stdin is not None
    process.stdin.close()
    server.close()
    process.wait(PATIENCE)
    process.stdout.close()


def ask(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


def awaits_answer(process: subprocess.Popen[bytes], *, our_port: int = 0) -> bool:
    return look_at(process.pid, our_port).awaits_answer


# How quiet is told


def test_a_request_is_unanswered_until_its_answer_is_here(
    asking: subprocess.Popen[bytes], server: Server
) -> None:
    for _ in range(2):  # on a connection that was just opened, and on one that was kept
        assert not awaits_answer(asking)
        ask(asking)
        server.take()
        wait_until(lambda: awaits_answer(asking), "a request that waits")
        server.answer()
        wait_until(lambda: not awaits_answer(asking), "the answer")


def test_what_is_asked_of_us_does_not_count(asking: subprocess.Popen[bytes], server: Server) -> None:
    ask(asking)
    server.take()
    wait_until(lambda: awaits_answer(asking), "a request that waits")
    assert not awaits_answer(asking, our_port=server.port)


@pytest.mark.parametrize("how", ["works", "waits"])
def test_a_process_that_works_is_not_quiet_and_one_that_waits_is(how: str) -> None:
    code = "import sys; print('up', flush=True)\nwhile sys.argv[1] == 'works': pass\nsys.stdin.read()"
    command = [sys.executable, "-c", code, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = look_at(process.pid, 0)
        if how == "works":
            wait_until(lambda: not is_quiet(first, look_at(process.pid, 0), 1.0), "work")
        else:
            wait_until(lambda: is_quiet(look_at(process.pid, 0), look_at(process.pid, 0), 1.0), "quiet")
        process.kill()


def test_a_process_that_has_ended_is_quiet() -> None:
    process = subprocess.Popen(["true"])
    process.wait(PATIENCE)
    look = look_at(process.pid, 0)
    assert is_quiet(look, look, 1.0)


def test_where_linux_does_not_tell_the_handler_gets_all_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(settle, "look_at", refuse)
    settling = Settling(0, "127.0.0.1:1")
    assert not trio.run(settling.wait, 5.0, clock=trio.testing.MockClock(autojump_threshold=0))


# What follows from it


def answer_and_poll(runner: Running, runtime_api: FakeRuntimeApi) -> str:
    """Answer an invocation, and poll again; return its id."""
    handler = runner.connect()
    request_id = runtime_api.invoke()
    assert handler.poll() == request_id
    assert handler.answer(request_id).status == 202
    handler.send_poll()
    return request_id


def test_the_poll_of_a_quiet_handler_goes_on_early(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="", SETTLE="1m")
    request_id = answer_and_poll(stage.runner, stage.runtime_api)
    stage.runner.await_event("poll-relayed", nth=2)
    assert [each["quiet"] for each in stage.runner.events("settled-down", request_id)] == [True]


def test_the_poll_is_held_until_what_the_handler_has_sent_is_answered(
    runtime_api: FakeRuntimeApi, start: Start, server: Server
) -> None:
    runner = start([sys.executable, "-c", ASKS, str(server.port)], MODE="WaitUntil", SETTLE="1m")
    wait_until(lambda: runner.address, "the handler's start")
    runner.end_handler()  # a line to read: it asks
    server.take()
    request_id = answer_and_poll(runner, runtime_api)
    runner.await_event("poll-held")
    assert runner.events("settled-down") == []
    server.answer()
    assert runner.await_event("settled-down", request_id)["quiet"]
    runner.await_event("poll-relayed", nth=2)


@pytest.mark.parametrize(("time", "timeout"), [("200ms", ""), ("1m", "200ms")])
def test_the_poll_of_a_handler_that_is_never_quiet_goes_on_after_its_time(
    runtime_api: FakeRuntimeApi, start: Start, server: Server, time: str, timeout: str
) -> None:
    runner = start(
        [sys.executable, "-c", ASKS, str(server.port)], MODE="WaitUntil", SETTLE=time, TIMEOUT=timeout
    )
    wait_until(lambda: runner.address, "the handler's start")
    runner.end_handler()
    server.take()
    request_id = answer_and_poll(runner, runtime_api)
    assert not runner.await_event("settled-down", request_id)["quiet"]
    runner.await_event("poll-relayed", nth=2)


def test_on_managed_instances_nothing_settles(prepare: Prepare) -> None:
    environment = {"AWS_LAMBDA_MAX_CONCURRENCY": "2"}
    stage = prepare(MODE="WaitUntil", COMMAND="", SETTLE="1m", environment=environment)
    answer_and_poll(stage.runner, stage.runtime_api)
    stage.runner.await_event("poll-relayed", nth=2)
    assert stage.runner.events("settled-down") == []


def test_the_settling_time_counts_from_the_answer(prepare: Prepare) -> None:
    stage = prepare(SETTLE="1ms")
    stage.run_after("sleep 0.01")
    request_id = answer_and_poll(stage.runner, stage.runtime_api)
    stage.runner.await_event("poll-relayed", nth=2)
    assert stage.runner.events("post-command-ended", request_id)
    assert stage.runner.events("settled-down") == []
