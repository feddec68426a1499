"""A connection whose other end goes away, or takes nothing, at any step: nothing hangs, and what was said is heard."""

import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import h11
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.proxy.ask import ask
from aws_lambda_post_runner.proxy.bodies import Counted, Parsed
from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.ends import HandlerWire, RuntimeApiWire, _receive_head
from aws_lambda_post_runner.proxy.heads import Malformed, RequestHead
from aws_lambda_post_runner.proxy.turn import turn
from aws_lambda_post_runner.proxy.wire import Hangup, Peek, Wire

from .fake_runtime_api import PATIENCE, response
from .running import parse

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""For SO_LINGER: wait for 0 s, which is a reset."""
ANSWER = (
    b"POST /2018-06-01/runtime/invocation/some-id/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
)


class Pair:
    """A connection: the end that is ours, and the other one."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.other = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
            self.ours, _ = listener.accept()

    def reset(self) -> None:
        """Let the other end reset it."""
        self.other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        self.other.close()

    def close(self) -> None:
        self.ours.close()
        self.other.close()


@pytest.fixture
def handlers() -> Iterator[Pair]:
    """A connection of the handler's."""
    with closing(Pair()) as pair:
        yield pair


@pytest.fixture
def onward() -> Iterator[Pair]:
    """A connection to the Runtime API."""
    with closing(Pair()) as pair:
        yield pair


@pytest.fixture
def in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else has to have a turn for a long time."""
    monkeypatch.setattr(turn, "ends_at", float("inf"))


def fill(wire: Wire) -> int:
    """Send until the other end, which does not read, takes no more; return how many bytes that took."""
    count = 0
    while wire.send_at_once(bytes(1 << 20)):
        count += 1 << 20
    return count


# What is sent, or received, without waiting


def test_nothing_to_send_is_sent_at_once_though_the_other_end_takes_nothing(onward: Pair) -> None:
    wire = RuntimeApiWire(onward.ours)
    fill(wire)
    queued, wire._queued = wire._queued, b""
    assert queued
    assert wire.send_at_once(b"")


def test_what_the_other_end_does_not_take_at_once_is_kept_and_sent_in_its_order(onward: Pair) -> None:
    async def send_the_rest() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, read_all)
                await wire.flush()
                onward.ours.shutdown(socket.SHUT_WR)

    def read_all() -> None:
        while data := onward.other.recv(1 << 20):
            came.extend(data)

    came = bytearray()
    wire = RuntimeApiWire(onward.ours)
    sent = fill(wire) + (1 << 20)
    assert not wire.send_at_once(b"last words")  # now that nothing at all goes out
    trio.run(send_the_rest)
    assert came == bytes(sent) + b"last words"


def test_sending_to_an_end_that_was_reset_says_which_end_is_gone(onward: Pair) -> None:
    wire = RuntimeApiWire(onward.ours)
    onward.reset()
    with pytest.raises(Hangup) as caught:
        wire.send_at_once(b"anything")
    assert caught.value.wire is wire


@pytest.mark.usefixtures("in_a_turn")
@pytest.mark.parametrize("how", ["close", "reset"])
def test_receiving_from_an_end_that_is_gone_says_which_end_it_is(handlers: Pair, how: str) -> None:
    wire = HandlerWire(handlers.ours)
    handlers.other.close() if how == "close" else handlers.reset()
    with pytest.raises(Hangup) as caught:
        wire.receive_into_at_once(bytearray(10), 10)
    assert caught.value.wire is wire


@pytest.mark.usefixtures("in_a_turn")
def test_a_body_waits_where_the_end_that_it_goes_to_takes_nothing(handlers: Pair, onward: Pair) -> None:
    wire, sink = HandlerWire(handlers.ours), RuntimeApiWire(onward.ours)
    fill(sink)
    wire.backlog = b"all of it"
    body = Counted(wire, len(wire.backlog))
    assert not body.pass_at_once(sink, None)
    assert body.is_read
    assert sink._queued.endswith(b"all of it")


def test_a_handler_that_is_gone_has_no_port(handlers: Pair) -> None:
    wire = HandlerWire(handlers.ours)
    assert wire.port == handlers.other.getsockname()[1]
    handlers.reset()
    assert wire.port is None


# What is waited for


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
def test_a_reset_ends_what_is_received(
    handlers: Pair, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    """Also where the peer's process is let run before it is waited for, as where nobody else is kept waiting."""
    monkeypatch.setattr(turn, "under_way", 1 if alone else 2)
    monkeypatch.setattr(turn, "contended_until", 0.0)
    wire = HandlerWire(handlers.ours)
    handlers.reset()
    with pytest.raises(Hangup):
        trio.run(wire.receive)


def test_a_reset_ends_what_is_received_into_a_buffer(handlers: Pair) -> None:
    wire = HandlerWire(handlers.ours)
    handlers.reset()
    with pytest.raises(Hangup):
        trio.run(wire.receive_into, bytearray(10), 10)


@pytest.mark.parametrize("way", ["receives", "sends"])
def test_who_waits_on_a_connection_that_we_close_is_told(onward: Pair, way: str) -> None:
    async def close_while_it_waits() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await wait_all_tasks_blocked()
                wire.close()

    async def wait() -> None:
        with pytest.raises(Hangup):
            await (wire.receive() if way == "receives" else wire.flush(b"and more"))
        told.append(way)

    told: list[str] = []
    wire = RuntimeApiWire(onward.ours)
    fill(wire)
    trio.run(close_while_it_waits)
    assert told == [way]


def test_what_nobody_wants_any_more_is_thrown_away_but_not_for_ever(handlers: Pair) -> None:
    wire = HandlerWire(handlers.ours)
    handlers.other.sendall(b"a little")
    wire.drop_unread()
    assert wire.peek() is Peek.QUIET
    fill(Wire(handlers.other))
    wire.drop_unread()
    assert wire.peek() is Peek.UNREAD


def test_an_upload_waits_for_room_and_goes_on_when_there_is_some(handlers: Pair, onward: Pair) -> None:
    """Its length is known, and the Runtime API takes nothing yet."""

    async def pass_on() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(body.pass_to, sink)
                await wait_all_tasks_blocked()
                assert not body.is_read or sink.peek() is Peek.QUIET
                nursery.start_soon(trio.to_thread.run_sync, read_all)

    def read_all() -> None:
        while not came.endswith(b"the end"):
            came.extend(onward.other.recv(1 << 20))

    came = bytearray()
    sink = RuntimeApiWire(onward.ours)
    fill(sink)
    body = Counted(HandlerWire(handlers.ours), len(b"the end"))
    handlers.other.sendall(b"the end")
    trio.run(pass_on)
    assert body.is_read


# An exchange


async def receive_and_ask(handler: HandlerWire, wire: RuntimeApiWire) -> int:
    """Relay the request that the handler has sent; return the status that comes back."""
    with trio.fail_after(PATIENCE):
        request = await handler.receive_request()
        assert isinstance(request, RequestHead)
        turn.ends_at = float("inf")
        _, answer = await ask(handler, request, wire)
    return answer.status


@pytest.mark.usefixtures("in_a_turn")
def test_a_handler_that_is_gone_in_the_middle_of_its_answer_is_told_from_a_runtime_api_that_is(
    handlers: Pair, onward: Pair
) -> None:
    handler, wire = HandlerWire(handlers.ours), RuntimeApiWire(onward.ours)
    handlers.other.sendall(ANSWER + b"half")
    handlers.other.close()
    with pytest.raises(Hangup) as caught:
        trio.run(receive_and_ask, handler, wire)
    assert caught.value.wire is handler
    assert not wire.is_whole
    assert onward.other.recv(1000).endswith(b"half")


@pytest.mark.usefixtures("in_a_turn")
def test_what_the_runtime_api_said_before_it_went_away_reaches_the_handler(
    handlers: Pair, onward: Pair
) -> None:
    handler, wire = HandlerWire(handlers.ours), RuntimeApiWire(onward.ours)
    onward.other.sendall(response(413))
    onward.reset()
    handlers.other.sendall(ANSWER + b"ten bytes.")
    assert trio.run(receive_and_ask, handler, wire) == 413
    assert not wire.is_whole


def test_what_comes_after_the_end_of_a_body_is_not_taken_for_more_of_it(handlers: Pair) -> None:
    async def read_twice() -> None:
        await body.drop()
        with pytest.raises(Malformed, match="interrupted"):
            await body._next_event()

    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert isinstance(parser.next_event(), h11.Request)
    wire = HandlerWire(handlers.ours)
    wire.backlog = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
    body = Parsed(wire, parser, chunked_onward=True, ends_by_closing=False)
    trio.run(read_twice)
    assert bytes(wire.backlog) == b"GET / HTTP/1.1\r\n"


def test_what_is_no_head_of_a_message_is_not_taken_for_one(handlers: Pair) -> None:
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    assert isinstance(parser.next_event(), h11.Request)
    with pytest.raises(Malformed, match="not the head"):
        trio.run(_receive_head, HandlerWire(handlers.ours), parser, b"body")


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n"])
def test_what_follows_a_head_is_kept_however_its_lines_end(handlers: Pair, onward: Pair, end: bytes) -> None:
    """h11 takes bare line feeds; where such a head ends is known only after it was parsed."""

    async def receive_both() -> None:
        with trio.fail_after(PATIENCE):
            request = await handler.receive_request()
            assert request is not None
            response = await wire.receive_response(request)
        assert (request.target, response.status) == (b"/", 202)

    handler, wire = HandlerWire(handlers.ours), RuntimeApiWire(onward.ours)
    handlers.other.sendall(b"POST / HTTP/1.1\nHost: x\nContent-Length: 4" + end + b"body")
    onward.other.sendall(b"HTTP/1.1 202 Accepted\nContent-Length: 2" + end + b"ok")
    trio.run(receive_both)
    assert (bytes(handler.backlog), bytes(wire.backlog)) == (b"body", b"ok")


@pytest.mark.usefixtures("in_a_turn")
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_response_that_never_has_a_body_is_not_waited_for_though_it_names_a_length(
    handlers: Pair, onward: Pair, status: bytes
) -> None:
    handler, wire = HandlerWire(handlers.ours), RuntimeApiWire(onward.ours)
    handlers.other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    onward.other.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\n")
    assert trio.run(receive_and_ask, handler, wire) == int(status[:3])
    assert wire.is_whole


# Who knocks


class Listener:
    """A listener that refuses once what was already gone."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._has_refused = False

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if not self._has_refused:
            self._has_refused = True
            raise ConnectionAbortedError
        return self._listener.accept()

    def fileno(self) -> int:
        return self._listener.fileno()

    def close(self) -> None:
        self._listener.close()


def test_one_that_knocks_and_is_gone_keeps_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux takes it in all the same; other systems say so."""

    async def take_one_in() -> int | None:
        with trio.fail_after(PATIENCE):
            handler = await door.welcome()
        port = handler.port
        door.see_off(handler)
        door.see_off(handler)  # it can be seen off twice
        return port

    with Door() as door, socket.create_connection(parse(door.address), timeout=PATIENCE) as knocking:
        monkeypatch.setattr(door, "_listener", Listener(door._listener))
        assert trio.run(take_one_in) == knocking.getsockname()[1]
