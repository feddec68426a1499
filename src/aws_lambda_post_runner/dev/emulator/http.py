"""HTTP/1.1 over a stream, both ends of it: h11 joined to trio.

It knows nothing of Lambda. It favours plain code over speed: this is for a laptop, where a millisecond is nothing.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import h11
import trio

# Runtime clients send an X-Ray cause of up to 1 MiB in a header; h11's own limit is 16 KiB.
HEAD_LIMIT_BYTES = 2 * 1024 * 1024
READ_BYTES = 64 * 1024

Headers = Iterable[tuple[str, str]]


class Disconnected(Exception):
    """The other end closed, or cut a body short."""


@dataclass(frozen=True)
class Request:
    """The head of a request: `path` without its query, header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """A whole answer as a client sees it: header names in lower case, body complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ServerConnection:
    """One connection as its server sees it: requests in, replies out, one after the other.

    Every method but `reply` and its parts may raise `Disconnected`.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        self.trailers: list[tuple[str, str]] = []

    async def receive_request(self) -> Request | None:
        """Return the next request's head, or None when the client has closed between two requests."""
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        if self._h11.our_state is not h11.IDLE:
            return None
        event = await self._receive()
        if not isinstance(event, h11.Request):
            return None
        self.trailers = []
        return Request(
            method=event.method.decode(),
            path=event.target.decode().partition("?")[0],
            headers=_decoded(event.headers),
        )

    async def receive_part(self) -> bytes | None:
        """Return a part of the body as it arrives; None after its last, when `trailers` is complete."""
        match await self._receive():
            case h11.Data(data=data):
                return bytes(data)
            case h11.EndOfMessage(headers=headers):
                self.trailers = [
                    (name.decode(), value.decode("latin-1")) for name, value in headers.raw_items()
                ]
                return None
            case event:
                raise Disconnected(str(event))

    async def receive_body(self) -> bytes:
        """Return the whole body."""
        parts = []
        while (part := await self.receive_part()) is not None:
            parts.append(part)
        return b"".join(parts)

    async def wait_disconnected(self) -> None:
        """Return when the client has closed. To be cancelled otherwise; nothing received is lost."""
        try:
            while data := await self._stream.receive_some(READ_BYTES):
                self._h11.receive_data(bytes(data))
        except trio.BrokenResourceError:
            return

    async def reply(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Send a whole reply. Raises `Disconnected`."""
        head = _head(status, [*headers, ("Content-Length", str(len(body)))])
        await self._send(head, h11.Data(data=body), h11.EndOfMessage())

    async def start_reply(self, status: int, headers: Headers) -> None:
        """Send a reply's head; without a Content-Length its body goes out in chunks."""
        await self._send(_head(status, headers))

    async def send_part(self, data: bytes) -> None:
        """Send a part of the reply's body."""
        await self._send(h11.Data(data=data))

    async def end_reply(self, trailers: Headers = ()) -> None:
        """End the reply, with trailers if it goes out in chunks."""
        await self._send(h11.EndOfMessage(headers=list(trailers)))

    async def _receive(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            while True:
                event = self._h11.next_event()
                if event is not h11.NEED_DATA:
                    return event
                if self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._h11.receive_data(bytes(await self._stream.receive_some(READ_BYTES)))
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as problem:
            raise Disconnected(str(problem)) from problem

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._h11.send(event) or b"" for event in events)
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as problem:
            raise Disconnected(str(problem)) from problem


async def serve(
    stream: trio.abc.Stream, answer: Callable[[Request, ServerConnection], Awaitable[None]]
) -> None:
    """Let `answer` answer each request of one connection until either side closes it; owns the stream."""
    connection = ServerConnection(stream)
    async with stream:
        try:
            while (request := await connection.receive_request()) is not None:
                await answer(request, connection)
        except Disconnected:
            return


async def ask(
    address: str,
    line: str,
    body: bytes = b"",
    headers: Headers = (),
    on_part: Callable[[bytes], None] | None = None,
) -> Reply:
    """Make one request, such as `GET /path`, to `host:port` on a connection of its own.

    `on_part` sees the answer's body as it arrives. Raises OSError when nothing listens there and `Disconnected`
    when the answer is cut short.
    """
    host, _, port = address.rpartition(":")
    method, _, target = line.partition(" ")
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    own_headers = [("Host", address), ("Content-Length", str(len(body))), ("Connection", "close")]
    head = h11.Request(method=method, target=target, headers=[*own_headers, *headers])
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        try:
            sent = [connection.send(event) for event in (head, h11.Data(data=body), h11.EndOfMessage())]
            await stream.send_all(b"".join(data or b"" for data in sent))
            return await _receive_reply(connection, stream, on_part)
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as problem:
            raise Disconnected(str(problem)) from problem


async def _receive_reply(
    connection: h11.Connection, stream: trio.abc.Stream, on_part: Callable[[bytes], None] | None
) -> Reply:
    status, headers, parts = 0, {}, []
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
            case h11.Response(status_code=status, headers=raw):
                headers = _decoded(raw)
            case h11.Data(data=data):
                parts.append(bytes(data))
                if on_part is not None:
                    on_part(bytes(data))
            case h11.EndOfMessage():
                return Reply(status, headers, b"".join(parts))


def _head(status: int, headers: Headers) -> h11.Response:
    return h11.Response(status_code=status, reason=HTTPStatus(status).phrase, headers=list(headers))


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}
