"""A connection that we open ourselves: given up without a trace, not used when stale, tried at each address."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aws_lambda_post_runner.proxy.ends import RuntimeApiWire
from aws_lambda_post_runner.proxy.export import _connect_to_first

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""For SO_LINGER: wait for 0 s, which is a reset."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address_that_refuses() -> tuple[str, int]:
    """Where nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        return host, port


def test_an_attempt_that_is_given_up_leaves_no_descriptor(listener: socket.socket) -> None:
    assert trio.run(descriptors_after_giving_up, listener.getsockname()) == 0


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def descriptors_after_giving_up(address: tuple[str, int]) -> int:
    """How many more descriptors there are after an attempt that is cancelled at its first step."""
    before = open_descriptors()
    with trio.move_on_after(0) as scope:
        await RuntimeApiWire.connect(address)
    assert scope.cancelled_caught
    return open_descriptors() - before


def test_an_idle_connection_that_was_reset_is_stale(listener: socket.socket) -> None:
    assert trio.run(staleness_after_a_reset, listener) == [False, True]


async def staleness_after_a_reset(listener: socket.socket) -> list[bool]:
    """Whether a connection is stale before and after the other end resets it."""
    wire = await RuntimeApiWire.connect(listener.getsockname())
    other_end, _ = listener.accept()
    before = wire.is_stale()
    other_end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    other_end.close()
    after = wire.is_stale()
    wire.close()
    wire.close()  # it can be closed twice
    return [before, after]


def test_the_first_address_that_takes_a_connection_is_used(listener: socket.socket) -> None:
    trio.run(connect_to_the_second, listener.getsockname())
    listener.accept()[0].close()


async def connect_to_the_second(address: tuple[str, int]) -> None:
    (await _connect_to_first([address_that_refuses(), address, address_that_refuses()])).close()


def test_where_none_takes_one_the_last_error_is_told() -> None:
    with pytest.raises(ConnectionRefusedError):
        trio.run(_connect_to_first, [address_that_refuses(), address_that_refuses()])
