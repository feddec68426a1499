"""A task that is all that goes on may wait a moment for its message without trio; it never keeps others waiting."""

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.invocation import Invocations
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.ends import HandlerWire
from aws_lambda_post_runner.proxy.relay import Relay
from aws_lambda_post_runner.proxy.turn import turn
from aws_lambda_post_runner.proxy.wire import Wire
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Level, read

from .fake_runtime_api import PATIENCE
from .running import PREFIX, parse
from .test_no_poll_too_many import no_command


class Watched(Wire):
    """Counts how often it let other processes run instead of other tasks."""

    brief_waits = 0

    def _receive_at_once(self) -> bytes | None:
        Watched.brief_waits += 1
        return super()._receive_at_once()


@pytest.mark.parametrize(("connections", "waits"), [(1, 1), (2, 0)])
def test_only_where_there_is_one_connection_its_message_is_waited_for_briefly(
    connections: int, waits: int
) -> None:
    async def receive() -> bytes:
        with Door() as door:
            clients = [
                socket.create_connection(parse(door.address), timeout=PATIENCE) for _ in range(connections)
            ]
            handlers: list[HandlerWire] = [await door.welcome() for _ in clients]
            one, other = socket.create_server(("127.0.0.1", 0)), socket.socket()
            other.connect(one.getsockname())
            watched = Watched(one.accept()[0])
            other.sendall(b"a message")
            Watched.brief_waits = 0
            with trio.fail_after(PATIENCE):
                received = await watched.receive()
            watched.close()
            for handler in handlers:
                door.see_off(handler)
            for each in [*clients, one, other]:
                each.close()
            return received

    assert trio.run(receive) == b"a message"
    assert Watched.brief_waits == waits
    assert turn.under_way == 0


def test_a_message_that_does_not_come_at_once_is_waited_for_by_way_of_trio() -> None:
    async def receive() -> bytes:
        one, other = socket.create_server(("127.0.0.1", 0)), socket.socket()
        other.connect(one.getsockname())
        wire = Wire(one.accept()[0])
        received: list[bytes] = []
        turn.under_way += 1
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep, wire, received)
                await wait_all_tasks_blocked()
                other.sendall(b"late")
        turn.under_way -= 1
        wire.close()
        one.close()
        other.close()
        return received[0]

    async def keep(wire: Wire, received: list[bytes]) -> None:
        received.append(await wire.receive())

    assert trio.run(receive) == b"late"


def test_on_managed_instances_there_are_always_others() -> None:
    told = read(
        {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_LAMBDA_MAX_CONCURRENCY": "1", PREFIX + "COMMAND": ":"}
    )

    async def others() -> int:
        report = Report(Level.WARN)
        invocations = Invocations()
        with Door() as door:
            async with trio.open_nursery() as nursery:
                post_work = PostWork(nursery, invocations, no_command, told, report)
                relay = Relay(told, invocations, post_work, report, door)
                under_way = turn.under_way
                relay.close()
        return under_way

    assert trio.run(others) == 1
    assert turn.under_way == 0
