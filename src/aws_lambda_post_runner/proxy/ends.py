"""The relay's two ends: a connection from the handler, and one to the Runtime API, as messages of HTTP/1.1.

What comes in, h11 reads and judges, so that nothing malformed gets any further, but for heads so plain that its
judgement is known beforehand. What goes out is written from what was judged. Nothing here knows what a request means.
"""

import os
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import cast

import h11
from trio.lowlevel import wait_writable

from .bodies import Body, Counted, Parsed, next_event
from .heads import (
    Malformed,
    RequestHead,
    ResponseHead,
    judge_informational,
    judge_request,
    judge_response,
    refuse_merged_lines,
    write_head,
)
from .plain_heads import read_plain_request, read_plain_response
from .wire import Hangup, Peek, Wire, have_no_delay

HEAD_LIMIT = 2 * 1024 * 1024
"""Bytes. awslambdaric sends an X-Ray cause of up to 1 MiB in a header; h11's own limit is 16 KiB."""

_END_OF_HEAD = b"\r\n\r\n"
_LINE_END = b"\r\n"
"""Its bytes are skipped before a request: shells end a body with one that its length does not count, and the Runtime
API's own server skips it as well (RFC 9112, 2.2). h11 does not."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_GET_REQUEST = h11.Request(method="GET", target="/", headers=[("Host", "")])
_HEAD_REQUEST = h11.Request(method="HEAD", target="/", headers=[("Host", "")])
"""What h11 needs to know of a request to read the response: whether it was HEAD."""


class HandlerWire(Wire):
    """A connection from the handler: requests come in, responses go out. Receiving raises Malformed, too."""

    __slots__ = ("body",)

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.body: Body = Counted(self, 0)
        """That of the request whose head was received last."""

    @property
    def port(self) -> int | None:
        """The port at the handler's end; None if the handler is gone."""
        try:
            port: int = self._sock.getpeername()[1]
        except OSError:
            return None
        return port

    async def receive_request(self) -> RequestHead | None:
        """The next request's head; None when the handler has closed the connection instead."""
        data, self.backlog = bytes(self.backlog).lstrip(_LINE_END), b""
        while not data:
            data = await self.receive()
            if not data:
                return None
            data = data.lstrip(_LINE_END)
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        plain = read_plain_request(data[:end])
        if plain is not None:
            self.backlog = memoryview(data)[end:]
            self.body = Counted(self, plain.body or 0)
            return plain
        parser = h11.Connection(h11.SERVER, HEAD_LIMIT)
        # A server's parser reads no other.
        event = cast("h11.Request", await _receive_head(self, parser, data))
        head = judge_request(event)
        if head.body is None:
            self.body = Parsed(self, parser, chunked_onward=True, ends_by_closing=False)
        else:
            _take_back_unread(self, parser)
            self.body = Counted(self, head.body)
        return head

    async def invite_body(self, head: RequestHead) -> None:
        """Send `100 Continue` to a client that waits for it; curl does with larger bodies."""
        if head.expects_continue and not self.backlog:
            await self.flush(_CONTINUE)

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


class RuntimeApiWire(Wire):
    """A connection to the Runtime API: requests go out, responses come in. Receiving raises Malformed, too."""

    __slots__ = ("_keeps_open", "_was_cut", "body")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._keeps_open = True
        self._was_cut = False
        self.body: Body = Counted(self, 0)
        """That of the response whose head was received last."""

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> "RuntimeApiWire":
        """A new connection. Raises OSError if there is none to be had."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0))
        have_no_delay(sock)
        wire = cls(sock)
        try:
            with suppress(BlockingIOError):  # it is under way
                sock.connect(address)
            await wait_writable(sock)
            _raise_problem_of(sock)
        except BaseException:
            wire.close()
            raise
        return wire

    @property
    def is_whole(self) -> bool:
        """Whether another exchange can follow: the last one is complete, and the peer keeps the connection."""
        return self._keeps_open and not self._was_cut and self.body.is_read

    def cut_off(self) -> None:
        """Not all of the request has gone out, and no other one can follow it."""
        self._was_cut = True

    def is_stale(self) -> bool:
        """Tell whether an idle connection cannot be used again: closed by the peer, or with bytes nobody asked for."""
        return bool(self.backlog) or self.peek() is not Peek.QUIET

    def queue_request(self, head: RequestHead) -> None:
        """The head goes out with the first piece of its body."""
        self.queue(head.onward)
        self._keeps_open = False  # until there is a response that says so

    async def receive_response(self, request: RequestHead) -> ResponseHead:
        """The head of the response to `request`; perhaps of an informational one (1xx), with another to follow."""
        data = await self.receive_more()
        end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        plain = read_plain_response(data[:end], request)
        if plain is not None:
            self.backlog = memoryview(data)[end:]
            self.body = Counted(self, plain.body or 0)
            self._keeps_open = True
            return plain
        parser = h11.Connection(h11.CLIENT, HEAD_LIMIT)
        parser.send(_HEAD_REQUEST if request.method == b"HEAD" else _GET_REQUEST)
        # A client's parser reads no others.
        event = cast("h11.InformationalResponse | h11.Response", await _receive_head(self, parser, data))
        if isinstance(event, h11.InformationalResponse):
            _take_back_unread(self, parser)
            return judge_informational(event)
        head = judge_response(event, request)
        if head.body is None:
            self.body = Parsed(
                self,
                parser,
                chunked_onward=head.chunked_onward,
                ends_by_closing=head.ends_by_closing,
            )
        else:
            _take_back_unread(self, parser)
            self.body = Counted(self, head.body)
        self._keeps_open = head.keeps_open
        return head


async def _receive_head(
    wire: Wire, parser: h11.Connection, data: bytes
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
        event = next_event(parser)
        if event is not h11.NEED_DATA:
            break
        data = await wire.receive()
        if not data:
            raise Hangup(wire)
    if not isinstance(event, h11.Request | h11.InformationalResponse | h11.Response):
        raise Malformed("not the head of a message")
    unread, _ = parser.trailing_data
    wire.backlog = memoryview(data)[len(piece) :]
    if unread:
        raw = raw[: -len(unread)]
    refuse_merged_lines(event, raw)
    return event


def _raise_problem_of(sock: socket.socket) -> None:
    """Raise OSError if the connection was not made."""
    if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _take_back_unread(wire: Wire, parser: h11.Connection) -> None:
    """What the parser was given beyond the head is the beginning of what is still to be read."""
    unread, _ = parser.trailing_data
    if unread:
        wire.backlog = unread + bytes(wire.backlog)


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
