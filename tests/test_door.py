"""Whoever knocks is taken in at once, however many they are, and all that has come is heard before it matters."""

import fcntl
import signal
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio

from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.ends import HandlerWire

from .fake_runtime_api import PATIENCE
from .running import HandlerConnection, Stage, parse, wait_until

CROWD = 300


@pytest.fixture
def door() -> Iterator[Door]:
    with Door() as door:
        yield door


def test_300_connections_that_come_at_once_are_all_taken_though_we_do_not_even_run(stage: Stage) -> None:
    """One for which there is no room is tried again by its kernel after a second, and 0.8 s is all that they have."""
    address = stage.runner.address
    stage.runner.signal(signal.SIGSTOP)
    with ExitStack() as connections:
        try:
            handlers = [
                connections.enter_context(socket.create_connection(address, timeout=0.8))
                for _ in range(CROWD)
            ]
        finally:
            stage.runner.signal(signal.SIGCONT)
        for sock in handlers:
            sock.settimeout(PATIENCE)
            sock.sendall(b"GET /2018-06-01/unknown HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert {sock.recv(12) for sock in handlers} == {b"HTTP/1.1 404"}


def connect(door: Door) -> socket.socket:
    return socket.create_connection(parse(door.address), timeout=PATIENCE)


def test_all_that_knock_are_taken_in_within_one_turn(door: Door) -> None:
    async def welcome_all() -> list[int]:
        """How many were taken in each time that others could run."""
        taken: list[HandlerWire] = []
        numbers = []
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(welcome_into, taken)
                while len(taken) < len(knocking):
                    await trio.lowlevel.checkpoint()
                    numbers.append(len(taken))
                nursery.cancel_scope.cancel()
        for each in taken:
            door.see_off(each)
        return numbers

    async def welcome_into(taken: list[HandlerWire]) -> None:
        while True:
            taken.append(await door.welcome())

    knocking = [connect(door) for _ in range(20)]
    turns_that_took_some = sorted(set(trio.run(welcome_all)) - {0})
    for sock in knocking:
        sock.close()
    assert turns_that_took_some[0] > 1


def test_what_has_come_on_any_connection_is_heard_first(door: Door) -> None:
    """On one that is open, and on one that still knocks."""

    async def hear() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take_the_processor)
                nursery.start_soon(read_from, door.take_in(accepted))
                nursery.start_soon(take_in_the_next, nursery)
                await door.wait_until_all_is_heard()
                assert sorted(heard) == [b"/knocking", b"/open"]
                nursery.cancel_scope.cancel()

    async def take_the_processor() -> None:
        time.sleep(0.05)  # noqa: ASYNC251 - as another process may, for longer than hearing takes as a rule

    async def read_from(handler: HandlerWire) -> None:
        request = await handler.receive_request()
        door.see_off(handler)
        assert request is not None
        heard.append(request.target)

    async def take_in_the_next(nursery: trio.Nursery) -> None:
        nursery.start_soon(read_from, await door.welcome())

    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_open = HandlerConnection(listener.getsockname())
        accepted, _ = listener.accept()
    knocking = HandlerConnection(parse(door.address))
    is_open.ask("GET", "/open")
    knocking.ask("GET", "/knocking")
    for each in (is_open, knocking):
        await_arrival(each.sock)
    trio.run(hear)
    is_open.close()
    knocking.close()


def await_arrival(sock: socket.socket) -> None:
    """Wait until the other end has, or its kernel, all that was sent: see SIOCOUTQ in tcp(7)."""
    wait_until(lambda: fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)) == bytes(4), "the arrival")


def test_one_that_says_nothing_and_one_that_is_being_answered_are_not_waited_for(door: Door) -> None:
    async def hear() -> bool:
        """Whether nobody else had to run for it."""
        silent, being_answered = await door.welcome(), await door.welcome()
        door.heard(being_answered)
        others_have_run = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_it, others_have_run)
            await door.wait_until_all_is_heard()
            at_once = not others_have_run.is_set()
        door.see_off(silent)
        door.see_off(being_answered)
        return at_once

    async def set_it(event: trio.Event) -> None:
        event.set()

    connections = [connect(door) for _ in range(2)]
    connections[1].sendall(b"the next request, before its turn")
    assert trio.run(hear)
    for sock in connections:
        sock.close()


def test_a_connection_that_stays_open_delays_our_end_for_no_long_time(door: Door) -> None:
    """A child of the handler's may hold it."""

    async def wait() -> None:
        handler = await door.welcome()
        with trio.fail_after(PATIENCE):
            await door.wait_for_last_words()
        door.see_off(handler)

    held = connect(door)
    trio.run(wait)
    held.close()
