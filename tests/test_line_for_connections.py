"""Where no descriptor is left, a connection has the place of one that was kept, and the next waits in line for it."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.proxy.pool import Pool, Spare

from .fake_runtime_api import PATIENCE

Address = tuple[str, int]


@pytest.fixture
def address() -> Iterator[Address]:
    """Where connections are taken, though nobody ever speaks on them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process has as many descriptors as it may have."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken[0], _highest()) + 1, most))
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        for descriptor in taken:
            os.close(descriptor)


def _highest() -> int:
    return max(map(int, os.listdir("/dev/fd")))  # noqa: PTH208 - the names are all that is wanted


def test_a_spare_descriptor_is_lent_once_and_had_again_when_there_is_one() -> None:
    with no_descriptor_left():
        none = Spare()
        assert not none.lend()
        assert not none.renew()
    assert none.renew()
    assert none.lend()
    assert not none.lend()


def test_one_connection_after_the_other_goes_on_though_no_descriptor_is_left(address: Address) -> None:
    assert trio.run(partial(take_two, address)) == ["first", "second"]


async def take_two(address: Address) -> list[str]:
    """Have two exchanges at once where there is room for one; return them as they came to have a connection."""
    pool = Pool(address)
    order = []

    async def take_second() -> None:
        async with pool.taken():
            order.append("second")

    with trio.fail_after(PATIENCE), no_descriptor_left():
        async with trio.open_nursery() as nursery, pool.taken():
            order.append("first")
            nursery.start_soon(take_second)
            await wait_all_tasks_blocked()
            assert order == ["first"]
    pool.close()
    return order


def test_a_poll_that_is_out_keeps_no_answer_waiting(address: Address) -> None:
    async def take_both() -> None:
        pool = Pool(address)
        with trio.fail_after(PATIENCE), no_descriptor_left():
            async with pool.taken_for_poll(), pool.taken():
                pass
        pool.close()

    trio.run(take_both)


def test_one_that_is_refused_gives_its_place_to_the_next() -> None:
    async def try_twice() -> None:
        pool = Pool(refusing)
        with trio.fail_after(PATIENCE), no_descriptor_left():
            for _ in range(2):
                with pytest.raises(ConnectionRefusedError):
                    await pool.taken().__aenter__()
        pool.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing: Address = listener.getsockname()
    trio.run(try_twice)
