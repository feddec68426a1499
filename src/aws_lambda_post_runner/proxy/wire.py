"""h11 joined to a socket: receive a head, pass a body on, send. The only place that sees bytes.

What comes in, h11 reads and judges, so that nothing malformed gets any further, but for heads so plain that its
judgement is known beforehand. What goes out is written from what was judged. Bodies with a Content-Length pass
beside h11, since there is nothing in them to judge; all others are read by it event by event.

The sockets are plain and do not block: a call is tried first, and only when it would block does the task wait.
Nothing here knows what a request means.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from time import monotonic

import h11
from trio.lowlevel import notify_closing, wait_readable, wait_writable

from .heads import (
    Headers,
    Malformed,
    RequestHead,
    ResponseHead,
    judge_informational,
    judge_request,
    judge_response,
    judge_trailers,
    refuse_merged_lines,
    write_head,
)
from .plain_heads import read_plain_request, read_plain_response
from .turn import turn

HEAD_LIMIT = 2 * 1024 * 1024
"""Bytes. awslambdaric sends an X-Ray cause of up to 1 MiB in a header; h11's own limit is 16 KiB."""

_RECEIVE_SIZE = 16 * 1024
"""For heads and what comes with them; with 64 KiB each receive takes 5 µs more, to make room and give it back."""
_PASS_SIZE = 256 * 1024
_UNREAD_LIMIT = 32
"""How many receives of a refused request's rest are worth a refusal that arrives."""

_END_OF_HEAD = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Tap = Callable[[bytes | memoryview], None]


class Hangup(Exception):
    """The peer closed or reset the connection where more was to come."""

    def __init__(self, wire: "Wire") -> None:
        super().__init__("the connection was closed")
        self.wire = wire


_GET_REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "")])
_HEAD_REQUEST = h11.Request(method="HEAD", target="/", headers=[("Host", "")])
"""What h11 needs to know of a request to read the response: whether it was HEAD."""


class Peek(Enum):
    """What a connection shows that is not read, without waiting."""

    QUIET = auto()
    UNREAD = auto()
    GONE = auto()
    """The peer has closed or reset it."""


_spare_buffers: list[bytearray] = []
"""Of _PASS_SIZE bytes each, used again and again: as many as bodies ever passed at the same time."""


class Wire:
    """One connection, and the message that is being received on it.

    Owned by one task at a time, which closes it. Receiving and sending raise Hangup when the peer is gone, and
    receiving raises Malformed; after either the connection is good for nothing but to be closed.
    """

    __slots__ = (
        "_backlog",
        "_chunked_onward",
        "_ends_by_closing",
        "_left",
        "_parser",
        "_queued",
        "_sock",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # Without this a head and a body sent apart would wait 40 ms for an acknowledgement (Nagle).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._backlog: bytes | memoryview = b""  # received and not yet read
        self._left = 0  # bytes of the body still to be read, where its length is known
        self._parser: h11.Connection | None = None  # reads the body, where its length is not known
        self._ends_by_closing = False  # how the end of such a body is told
        self._queued = b""  # goes out before the next thing that is sent
        self._chunked_onward = False

    def close(self) -> None:
        """Close the connection, whatever state it is in. Can be called again."""
        if self._sock.fileno() >= 0:
            notify_closing(self._sock)
            self._sock.close()

    def peek(self) -> Peek:
        """Look, without waiting, at what has come and was not read yet."""
        try:
            return Peek.UNREAD if self._sock.recv(1, socket.MSG_PEEK) else Peek.GONE
        except BlockingIOError:
            return Peek.QUIET
        except OSError:
            return Peek.GONE

    async def flush(self, data: bytes | memoryview = b"") -> None:
        """Send what is queued and then `data`, together."""
        if self._queued:
            data = self._queued + data
            self._queued = b""
        while data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                await wait_writable(self._sock)
            except OSError:
                raise Hangup(self) from None
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def queue_piece(self, data: bytes) -> None:
        """A piece of a body without a length, to be sent with what follows."""
        self._queued += b"%x\r\n%b\r\n" % (len(data), data) if self._chunked_onward else data

    def queue_end(self, trailers: Headers) -> None:
        """The end of a body without a length."""
        if self._chunked_onward:
            self._queued += write_head(b"0", trailers)

    async def pass_body(self, sink: "Wire", tap: Tap | None = None) -> Headers:
        """Send what is queued at `sink` and the body of the message that is being received; return its trailers.

        Nothing is kept: each piece goes on before the next is read. `tap` sees each piece. The Hangup that is
        raised tells which of the two ends is gone; `sink` being gone, the rest can still be read by drop_body.
        """
        if self._parser is not None:
            return await self._pass_events(self._parser, sink, tap)
        first, self._backlog = self._backlog[: self._left], self._backlog[self._left :]
        self._left -= len(first)
        if tap is not None:
            tap(first)
        await sink.flush(first)
        if self._left:
            await self._pass_bytes(sink, tap)
        return []

    async def drop_body(self, tap: Tap | None = None) -> None:
        """Read the rest of the body of the message that is being received and pass it to nobody but `tap`."""
        if self._parser is not None:
            while isinstance(event := await self._next_event(self._parser), h11.Data):
                if tap is not None:
                    tap(event.data)
            return
        while self._left:
            data = self._backlog or await self._receive()
            if not data:
                raise Hangup(self)
            piece, self._backlog = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if tap is not None:
                tap(piece)

    async def _pass_bytes(self, sink: "Wire", tap: Tap | None) -> None:
        buffer = _spare_buffers.pop() if _spare_buffers else bytearray(_PASS_SIZE)
        view = memoryview(buffer)
        try:
            while self._left:
                try:
                    count = self._sock.recv_into(buffer, min(self._left, _PASS_SIZE))
                except BlockingIOError:
                    await wait_readable(self._sock)
                    continue
                except OSError:
                    raise Hangup(self) from None
                if not count:
                    raise Hangup(self)
                self._left -= count
                if tap is not None:
                    tap(view[:count])
                await sink.flush(view[:count])
                if monotonic() > turn.ends_at:
                    await turn.give_way()
        finally:
            _spare_buffers.append(buffer)

    async def _pass_events(self, parser: h11.Connection, sink: "Wire", tap: Tap | None) -> Headers:
        while True:
            event = await self._next_event(parser, sink)
            if isinstance(event, h11.Data):
                if tap is not None:
                    tap(event.data)
                sink.queue_piece(event.data)
                continue
            trailers = judge_trailers(event)
            sink.queue_end(trailers)
            await sink.flush()
            return [(name.lower(), value) for name, value in trailers]

    async def _next_event(
        self, parser: h11.Connection, sink: "Wire | None" = None
    ) -> h11.Data | h11.EndOfMessage:
        """The next event of the body. What is queued at `sink` is sent before anything is waited for."""
        while (event := _judged(parser)) is h11.NEED_DATA:
            if sink is not None:
                await sink.flush()
            data = await self._receive()
            if not data and not self._ends_by_closing:
                raise Hangup(self)
            parser.receive_data(data)
        if isinstance(event, h11.EndOfMessage):
            self._backlog, _ = parser.trailing_data
            self._parser = None
            return event
        if isinstance(event, h11.Data):
            return event
        raise Malformed("a body was interrupted")

    async def _receive(self) -> bytes:
        """What has come, at least one byte; none when the peer has closed."""
        # Not after receiving: what has come is either still to be seen by `peek`, or dealt with.
        if monotonic() > turn.ends_at:
            await turn.give_way()
        while True:
            try:
                return self._sock.recv(_RECEIVE_SIZE)
            except BlockingIOError:
                await wait_readable(self._sock)
            except OSError:
                raise Hangup(self) from None

    async def _receive_head(
        self, parser: h11.Connection, data: bytes
    ) -> h11.Request | h11.InformationalResponse | h11.Response:
        """The next head, `data` being its beginning. What follows it becomes the backlog.

        The parser gets the head alone where its end can be told beforehand: a body is copied several times in it.
        """
        raw = b""
        while True:
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            piece = data[:end] if end >= len(_END_OF_HEAD) else data
            raw += piece
            parser.receive_data(piece)
            event = _judged(parser)
            if event is not h11.NEED_DATA:
                break
            data = await self._receive()
            if not data:
                raise Hangup(self)
        if not isinstance(event, h11.Request | h11.InformationalResponse | h11.Response):
            raise Malformed("not the head of a message")
        self._backlog = memoryview(data)[len(piece) :]
        unread, _ = parser.trailing_data
        if unread:
            raw = raw[: -len(unread)]
        refuse_merged_lines(event, raw)
        return event

    def _expect_plain_body(self, head: RequestHead | ResponseHead, data: bytes, start: int) -> None:
        """A plain head has been read; `data` has its body from `start` on."""
        self._backlog = memoryview(data)[start:]
        self._parser = None
        self._left = head.body or 0

    def _expect_body(self, parser: h11.Connection, length: int | None) -> None:
        """The head has been read; `length` is that of the body, None where only h11 can find its end."""
        if length is None:
            if self._backlog:
                parser.receive_data(bytes(self._backlog))
            self._backlog = b""
            self._parser = parser
            self._left = 0
            return
        unread, _ = parser.trailing_data
        if unread:
            self._backlog = unread + self._backlog
        self._parser = None
        self._left = length


class HandlerWire(Wire):
    """A connection from the handler: requests come in, responses go out."""

    __slots__ = ()

    async def receive_request(self) -> RequestHead | None:
        """The next request's head; None when the handler has closed the connection instead."""
        data, self._backlog = bytes(self._backlog), b""
        if not data:
            data = await self._receive()
            if not data:
                return None
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        plain = read_plain_request(data[:end])
        if plain is not None:
            self._expect_plain_body(plain, data, end)
            return plain
        parser = h11.Connection(h11.SERVER, HEAD_LIMIT)
        event = await self._receive_head(parser, data)
        if not isinstance(event, h11.Request):
            raise Malformed("not a request")
        head = judge_request(event)
        self._expect_body(parser, head.body)
        return head

    @property
    def body_is_here(self) -> bool:
        """Whether the whole body of the request has been received with its head."""
        return self._parser is None and self._left <= len(self._backlog)

    async def invite_body(self, head: RequestHead) -> None:
        """Send `100 Continue` to a client that waits for it; curl does with larger bodies."""
        if head.expects_continue and not self._backlog:
            await self.flush(_CONTINUE)

    def queue_response(self, head: ResponseHead) -> None:
        """The head goes out with the first piece of its body."""
        self._queued += head.onward
        self._chunked_onward = head.chunked_onward

    async def respond(self, request: RequestHead, status: int, content_type: bytes, body: bytes) -> None:
        """Send a response of our own."""
        headers = [(b"Content-Type", content_type), (b"Content-Length", b"%d" % len(body))]
        if not request.keep_alive:
            headers.append((b"Connection", b"close"))
        head = write_head(b"HTTP/1.1 %d %b" % (status, _reason(status)), headers)
        await self.flush(head if request.method == b"HEAD" else head + body)

    async def refuse(self, problem: Malformed) -> None:
        """Tell the handler that its request was malformed. The connection is to be closed then."""
        await self.flush(_REFUSAL % (problem.status, _reason(problem.status)))
        # Closing with bytes unread would reset the connection and could take the refusal along.
        with suppress(OSError):
            for _ in range(_UNREAD_LIMIT):
                self._sock.recv(_RECEIVE_SIZE)


class RuntimeApiWire(Wire):
    """A connection to the Runtime API: requests go out, responses come in."""

    __slots__ = ("_keeps_open", "_was_cut")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._keeps_open = True
        self._was_cut = False

    @property
    def reusable(self) -> bool:
        """Whether another exchange can follow: the last one is complete, and the peer keeps the connection."""
        return self._keeps_open and not self._was_cut and not self._left and self._parser is None

    def cut_off(self) -> None:
        """Not all of the request has gone out, and no other one can follow it."""
        self._was_cut = True

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> "RuntimeApiWire":
        """A new connection. Raises OSError if there is none to be had."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0))
        wire = cls(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            pass  # under way
        except OSError:
            wire.close()
            raise
        try:
            await wait_writable(sock)
        except BaseException:
            wire.close()
            raise
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            wire.close()
            raise OSError(error, os.strerror(error))
        return wire

    def is_stale(self) -> bool:
        """Tell whether an idle connection cannot be used again: closed by the peer, or with bytes nobody asked for."""
        return bool(self._backlog) or self.peek() is not Peek.QUIET

    def queue_request(self, head: RequestHead) -> None:
        """The head goes out with the first piece of its body."""
        self._queued += head.onward
        self._chunked_onward = head.body is None
        self._keeps_open = False  # until there is a response that says so

    async def receive_response(self, request: RequestHead) -> ResponseHead:
        """The head of the response to `request`; perhaps of an informational one (1xx), with another to follow."""
        data, self._backlog = bytes(self._backlog), b""
        if not data:
            data = await self._receive()
            if not data:
                raise Hangup(self)
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        plain = read_plain_response(data[:end], request)
        if plain is not None:
            self._expect_plain_body(plain, data, end)
            self._keeps_open = True
            return plain
        parser = h11.Connection(h11.CLIENT, HEAD_LIMIT)
        parser.send(_HEAD_REQUEST if request.method == b"HEAD" else _GET_REQUEST)
        event = await self._receive_head(parser, data)
        if isinstance(event, h11.Request):
            raise Malformed("not a response")
        if isinstance(event, h11.InformationalResponse):
            self._expect_body(parser, 0)
            return judge_informational(event)
        head = judge_response(event, request)
        self._expect_body(parser, head.body)
        self._ends_by_closing = head.ends_by_closing
        self._keeps_open = head.keeps_open
        return head


def _judged(parser: h11.Connection) -> object:
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        # After a colon h11 shows the bytes it stumbled over; they may be of an event, and this is logged.
        raise Malformed(str(error).partition(":")[0], error.error_status_hint) from None


def _reason(status: int) -> bytes:
    from http import HTTPStatus  # only for answers of our own; most start-ups never need it

    return HTTPStatus(status).phrase.encode()
