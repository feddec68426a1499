"""Bodies that are being received: one whose length is known, and one whose end h11 has to find.

Nothing is kept: each piece goes on before the next is read. One whose length is known passes beside h11, since there
is nothing in it to judge.
"""

from collections.abc import Callable

import h11

from .heads import Headers, Malformed, judge_trailers, write_head
from .wire import Hangup, Wire

_PASS_SIZE = 128 * 1024

_spare_buffers: list[bytearray] = []
"""Of _PASS_SIZE bytes each, used again and again: as many as bodies ever passed at the same time."""

Tap = Callable[[bytes | memoryview], None]
"""Sees each piece of a body that passes."""


class Counted:
    """A body of so many bytes. What has come of it with its head is in the wire's backlog."""

    __slots__ = ("_left", "_wire")

    def __init__(self, wire: Wire, length: int) -> None:
        self._wire = wire
        self._left = length

    @property
    def is_read(self) -> bool:
        """Whether it has been read to its end."""
        return not self._left

    def pass_at_once(self, sink: Wire, tap: Tap | None) -> bool:
        """Pass on what has come, as far as neither end has to be waited for; tell whether that was all of it.

        A body of some 100 KB passes in this way as a rule, and needs no second task that listens for a refusal. What
        `sink` did not take is queued there.
        """
        backlog = self._wire.backlog
        first, self._wire.backlog = backlog[: self._left], backlog[self._left :]
        self._left -= len(first)
        if tap is not None:
            tap(first)
        if not sink.send_at_once(first):
            return False
        return not self._left or self._pass_rest_at_once(sink, tap)

    def _pass_rest_at_once(self, sink: Wire, tap: Tap | None) -> bool:
        buffer = _spare_buffers.pop() if _spare_buffers else bytearray(_PASS_SIZE)
        view = memoryview(buffer)
        try:
            while self._left:
                count = self._wire.receive_into_at_once(buffer, min(self._left, _PASS_SIZE))
                self._left -= count
                if tap is not None:
                    tap(view[:count])
                if not count or not sink.send_at_once(view[:count]):
                    return False
        finally:
            _spare_buffers.append(buffer)
        return True

    async def pass_to(self, sink: Wire, tap: Tap | None = None) -> Headers:
        """Send what is queued at `sink` and the rest of the body; return its trailers, of which it has none.

        The Hangup that is raised tells which of the two ends is gone; `sink` being gone, the rest can be dropped.
        """
        backlog = self._wire.backlog
        first, self._wire.backlog = backlog[: self._left], backlog[self._left :]
        self._left -= len(first)
        if tap is not None:
            tap(first)
        await sink.flush(first)
        if self._left:
            await self._pass_rest(sink, tap)
        return []

    async def _pass_rest(self, sink: Wire, tap: Tap | None) -> None:
        buffer = _spare_buffers.pop() if _spare_buffers else bytearray(_PASS_SIZE)
        view = memoryview(buffer)
        try:
            while self._left:
                count = await self._wire.receive_into(buffer, min(self._left, _PASS_SIZE))
                self._left -= count
                if tap is not None:
                    tap(view[:count])
                await sink.flush(view[:count])
        finally:
            _spare_buffers.append(buffer)

    async def drop(self, tap: Tap | None = None) -> None:
        """Read the rest of the body and pass it to nobody but `tap`."""
        while self._left:
            data = await self._wire.receive_more()
            piece, self._wire.backlog = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if tap is not None:
                tap(piece)


class Parsed:
    """A body in chunks, or one that ends with the connection."""

    __slots__ = ("_chunked_onward", "_ends_by_closing", "_parser", "_wire", "is_read")

    def __init__(
        self, wire: Wire, parser: h11.Connection, *, chunked_onward: bool, ends_by_closing: bool
    ) -> None:
        """`parser` has read the head, and what came with it is in the wire's backlog."""
        self._wire = wire
        self._parser = parser
        self._chunked_onward = chunked_onward
        self._ends_by_closing = ends_by_closing
        self.is_read = False
        if wire.backlog:
            parser.receive_data(bytes(wire.backlog))
        wire.backlog = b""

    def pass_at_once(self, _sink: Wire, _tap: Tap | None) -> bool:
        """Never: such a body is streamed, and a refusal has to be listened for between its pieces."""
        return False

    async def pass_to(self, sink: Wire, tap: Tap | None = None) -> Headers:
        """As that of a counted body; returns the trailers, names in lower case."""
        while isinstance(event := await self._next_event(sink), h11.Data):
            if tap is not None:
                tap(event.data)
            sink.queue(_chunk(event.data) if self._chunked_onward else event.data)
        trailers = judge_trailers(event)
        if self._chunked_onward:
            sink.queue(write_head(b"0", trailers))
        await sink.flush()
        return [(name.lower(), value) for name, value in trailers]

    async def drop(self, tap: Tap | None = None) -> None:
        """As that of a counted body."""
        while not self.is_read:
            event = await self._next_event()
            if tap is not None and isinstance(event, h11.Data):
                tap(event.data)

    async def _next_event(self, sink: Wire | None = None) -> h11.Data | h11.EndOfMessage:
        """The next event of the body. What is queued at `sink` is sent before anything is waited for."""
        while (event := next_event(self._parser)) is h11.NEED_DATA:
            if sink is not None:
                await sink.flush()
            data = await self._wire.receive()
            if not data and not self._ends_by_closing:
                raise Hangup(self._wire)
            self._parser.receive_data(data)
        match event:
            case h11.Data():
                return event
            case h11.EndOfMessage():
                self._wire.backlog, _ = self._parser.trailing_data
                self.is_read = True
                return event
            case _:
                raise Malformed("a body was interrupted")


Body = Counted | Parsed


def next_event(parser: h11.Connection) -> object:
    """What h11 makes of what it has received. Raises Malformed."""
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as error:
        # After a colon h11 shows the bytes it stumbled over; they may be of an event, and this is logged.
        raise Malformed(str(error).partition(":")[0], error.error_status_hint) from None


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
