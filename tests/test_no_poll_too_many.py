"""There is never a poll too many at the Runtime API: it would be answered with an event that was given out already."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.lowlevel import checkpoint
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.invocation import Budget, Invocations, Settled
from aws_lambda_post_runner.post.attempts import Course
from aws_lambda_post_runner.post.cutting import Cutting
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.relay import Relay
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Level, read

from .fake_runtime_api import NEXT, PATIENCE, FakeRuntimeApi, answer_path

POLL = f"GET {NEXT} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def no_command(settled: Settled, _budget: Budget, _cutting: Cutting) -> Course:
    raise AssertionError(settled)


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """A pair of TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


@asynccontextmanager
async def relay_to(runtime_api: FakeRuntimeApi) -> AsyncIterator[Callable[[socket.socket], Awaitable[None]]]:
    """What serves a connection, given our end of it."""
    told = read({"AWS_LAMBDA_RUNTIME_API": runtime_api.address, "AWS_LAMBDA_POST_RUNNER_MODE": "WaitUntil"})
    report, invocations = Report(Level.WARN), Invocations()
    with trio.fail_after(PATIENCE), Door() as door:
        async with trio.open_nursery() as nursery:
            post_work = PostWork(nursery, invocations, no_command, told, report)
            relay = Relay(told, invocations, post_work, report, door)

            async def serve(our_end: socket.socket) -> None:
                await relay.serve(door.take_in(our_end))

            yield serve
            nursery.cancel_scope.cancel()
        relay.close()


def test_a_poll_that_is_read_when_its_connection_has_gone_is_not_sent(runtime_api: FakeRuntimeApi) -> None:
    """The handler has dropped it and made another one, which is read first."""

    async def relay_both() -> None:
        handler, other_end = connected_sockets()
        dropped, dropped_other_end = connected_sockets()
        dropped.sendall(POLL)
        dropped.close()
        handler.sendall(POLL)
        async with relay_to(runtime_api) as serve, trio.open_nursery() as nursery:
            nursery.start_soon(serve, other_end)
            await trio.to_thread.run_sync(runtime_api.await_request, NEXT)
            await serve(dropped_other_end)
            runtime_api.invoke(b"{}")
            await wait_all_tasks_blocked()
            await trio.to_thread.run_sync(handler.recv, 1)
            nursery.cancel_scope.cancel()
        handler.close()

    trio.run(relay_both)
    assert len(runtime_api.to(NEXT)) == 1


@pytest.mark.parametrize("turns", [0, *[1] * 6, 2, 3])  # it is one, and which task goes first is drawn
def test_a_poll_that_is_dropped_before_there_is_a_connection_for_it_is_not_sent(
    runtime_api: FakeRuntimeApi, turns: int
) -> None:
    """The other one comes so many turns later, and is the only one whose connection is still there."""

    async def relay_both() -> None:
        handler, other_end = connected_sockets()
        dropped, dropped_other_end = connected_sockets()
        dropped.sendall(POLL)
        dropped.close()
        handler.sendall(POLL)
        async with relay_to(runtime_api) as serve, trio.open_nursery() as nursery:
            nursery.start_soon(serve, dropped_other_end)
            for _ in range(turns):
                await checkpoint()
            nursery.start_soon(serve, other_end)
            await wait_all_tasks_blocked()
            runtime_api.invoke(b"{}")
            await trio.to_thread.run_sync(handler.recv, 1)
            nursery.cancel_scope.cancel()
        handler.close()

    trio.run(relay_both)
    assert len(runtime_api.to(NEXT)) == 1


class Unhurried(trio.abc.Instrument):
    """Leaves the others, who are threads here, time to answer between any two steps of ours."""

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        time.sleep(0.01)


def answer_and_hang_up(handler: socket.socket) -> None:
    """Wait for an event, answer it, and close the connection at once."""
    event = handler.recv(65536).decode()
    request_id = event.partition("Lambda-Runtime-Aws-Request-Id: ")[2].partition("\r\n")[0]
    head = f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    handler.sendall(head.encode() + b"{}")
    handler.close()


@pytest.mark.parametrize("_time", range(6))  # which task goes first is drawn
def test_an_answer_is_read_though_its_sender_has_gone_and_another_poll_comes(
    runtime_api: FakeRuntimeApi, _time: int
) -> None:
    """The event was that of a poll that had been dropped; whoever waited for it may not be told yet that it came."""

    async def relay_all() -> None:
        ends = [connected_sockets() for _ in range(3)]
        (dropped, _), (handler, _), (third, _) = ends
        for each in (dropped, handler):
            each.sendall(POLL)
        async with relay_to(runtime_api) as serve, trio.open_nursery() as nursery:
            nursery.start_soon(serve, ends[0][1])
            await trio.to_thread.run_sync(runtime_api.await_request, NEXT)
            dropped.close()
            nursery.start_soon(serve, ends[1][1])
            nursery.start_soon(serve, ends[2][1])
            await wait_all_tasks_blocked(0.05)
            answering = threading.Thread(target=answer_and_hang_up, args=[handler])
            answering.start()
            request_id = runtime_api.invoke(b"{}")
            third.sendall(POLL)
            time.sleep(0.02)  # noqa: ASYNC251 - so that both have come when we look
            await trio.to_thread.run_sync(runtime_api.await_request, answer_path(request_id))
            answering.join()
            nursery.cancel_scope.cancel()
        third.close()

    trio.run(relay_all, instruments=[Unhurried()])
