"""There is never a poll too many at the Runtime API: it would be answered with an event that was given out already."""

import socket
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

from .fake_runtime_api import NEXT, PATIENCE, FakeRuntimeApi

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
