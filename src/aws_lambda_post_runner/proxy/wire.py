"""One connection, as bytes: receive, send, look, close. The only room that calls a connected socket.

The sockets are plain and do not block: a call is tried first, and only when it would block does the task wait.
Nothing here knows what the bytes mean.
"""

import select
import socket
from contextlib import suppress
from enum import Enum, auto
from os import sched_yield
from time import monotonic

import trio
from trio.lowlevel import notify_closing, wait_readable, wait_writable

from .half_closed import is_still_read
from .turn import turn

_RECEIVE_SIZE = 16 * 1024
"""For heads and what comes with them; with 64 KiB each receive takes 5 µs more, to make room and give it back."""
_YIELDS = 2
"""How often the peer's process is let run before its message is waited for by way of trio. With a processor of its own
it needs longer than that, and we have lost two or three microseconds."""
_CONTENDED = 0.0025
"""Seconds that this takes where others have the processor: a handler's busy thread, another process. Linux lets them
run for 3 ms at a time, and a task that is parked is back sooner, for those that were asleep are preferred."""
_UNCONTENDED_AGAIN = 0.25
"""Seconds after which that is tried anew."""
_UNREAD_LIMIT = 32
"""How many receives of what nobody wants any more are worth a last word that arrives."""
_HANGUP_OF_PEER = getattr(select, "POLLRDHUP", 0)
"""Linux's alone. Elsewhere an end is seen only once all that came before it has been read."""


def have_no_delay(sock: socket.socket) -> None:
    """See that what is sent goes out at once; what a listener accepts inherits that.

    Otherwise a head and a body sent apart would wait 40 ms for an acknowledgement (Nagle).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Hangup(Exception):
    """The peer closed or reset the connection where more was to come."""

    def __init__(self, wire: "Wire") -> None:
        super().__init__("the connection was closed")
        self.wire = wire


class Peek(Enum):
    """What a connection shows that is not read, without waiting."""

    QUIET = auto()
    UNREAD = auto()
    GONE = auto()
    """The peer sends nothing more: it has closed or reset the connection, or its own half of it."""


class Wire:
    """One connection.

    Owned by one task at a time, which closes it. Receiving and sending raise Hangup when the peer is gone; after it
    the connection is good for nothing but to be closed.
    """

    __slots__ = ("_queued", "_sock", "_was_waited_for", "backlog")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._was_waited_for = False
        self._queued = b""
        self.backlog: bytes | memoryview = b""
        """What was received and is still to be read, before anything else that is received."""

    def close(self) -> None:
        """Close the connection, whatever state it is in. Can be called again."""
        if self._was_waited_for and self._sock.fileno() >= 0:
            notify_closing(self._sock)
        self._sock.close()

    def peek(self) -> Peek:
        """Look, without waiting, at what has come and was not received yet."""
        try:
            return Peek.UNREAD if self._sock.recv(1, socket.MSG_PEEK) else Peek.GONE
        except BlockingIOError:
            return Peek.QUIET
        except OSError:
            return Peek.GONE

    def is_gone(self) -> bool:
        """Tell, without waiting, whether nobody of this machine reads any more what is sent on the connection."""
        match self.peek():
            case Peek.QUIET:
                return False
            case Peek.UNREAD if not _has_ended(self._sock):
                return False
        return not is_still_read(self._sock)

    def queue(self, data: bytes) -> None:
        """Have this sent together with what is sent next."""
        self._queued += data

    async def flush(self, data: bytes | memoryview = b"") -> None:
        """Send what is queued and then `data`, together."""
        if self._queued:
            data = self._queued + data
            self._queued = b""
        while data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                await self._wait_writable()
            except OSError:
                raise Hangup(self) from None
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def send_at_once(self, data: bytes | memoryview) -> bool:
        """Send what is queued and then `data`, if that can be done without waiting; tell whether all has gone.

        What has not is queued.
        """
        if self._queued:
            data = self._queued + data
            self._queued = b""
        if not data:
            return True
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise Hangup(self) from None
        self._queued = bytes(data[sent:])
        return not self._queued

    async def receive(self) -> bytes:
        """What has come, at least one byte; none when the peer has closed."""
        # Not after receiving: what has come is either still to be seen by `peek`, or dealt with.
        if monotonic() > turn.ends_at:
            await turn.give_way()
        if turn.under_way == 1 and (data := self._receive_at_once()) is not None:
            return data
        while True:
            try:
                return self._sock.recv(_RECEIVE_SIZE)
            except BlockingIOError:
                await self._wait_readable()
            except OSError:
                raise Hangup(self) from None

    async def receive_into(self, buffer: bytearray, size: int) -> int:
        """Fill the buffer with what has come, at most `size` bytes; return how many. Raises Hangup at the end, too."""
        if monotonic() > turn.ends_at:
            await turn.give_way()
        while True:
            try:
                count = self._sock.recv_into(buffer, size)
            except BlockingIOError:
                await self._wait_readable()
                continue
            except OSError:
                raise Hangup(self) from None
            if not count:
                raise Hangup(self)
            return count

    def receive_into_at_once(self, buffer: bytearray, size: int) -> int:
        """As `receive_into`, but 0 if that would take long, or others have to have their turn."""
        if monotonic() > turn.ends_at:
            return 0
        if turn.under_way == 1 and monotonic() > turn.contended_until:
            sched_yield()
        try:
            count = self._sock.recv_into(buffer, size)
        except BlockingIOError:
            return 0
        except OSError:
            raise Hangup(self) from None
        if not count:
            raise Hangup(self)
        return count

    async def receive_more(self) -> bytes:
        """What is in the backlog, or else what comes. Raises Hangup when the peer has closed."""
        data, self.backlog = bytes(self.backlog), b""
        data = data or await self.receive()
        if not data:
            raise Hangup(self)
        return data

    def drop_unread(self) -> None:
        """Throw away what has come. Closing with bytes unread would reset the connection, and lose what was sent."""
        with suppress(OSError):
            for _ in range(_UNREAD_LIMIT):
                if not self._sock.recv(_RECEIVE_SIZE):
                    break

    def _receive_at_once(self) -> bytes | None:
        """Let the peer's process run, and take what it says; None if that takes it longer.

        What is expected, an acknowledgement or the poll after it, is there as a rule once the peer has had its turn on
        the processor that it shares with us. To wait by way of trio changes the kernel's list of what is waited for
        twice and gives all tasks a turn. A `select` with a short timeout would do as well, but setting a timer costs
        17 µs in a virtual machine of Firecracker's, which Lambda's are.
        """
        began = monotonic()
        if began < turn.contended_until:
            return None
        for _ in range(_YIELDS):
            sched_yield()
            try:
                return self._sock.recv(_RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except OSError:
                raise Hangup(self) from None
        if monotonic() - began > _CONTENDED:
            turn.contended_until = began + _UNCONTENDED_AGAIN
        return None

    async def _wait_readable(self) -> None:
        self._was_waited_for = True
        try:
            await wait_readable(self._sock)
        except trio.ClosedResourceError:
            raise Hangup(self) from None

    async def _wait_writable(self) -> None:
        self._was_waited_for = True
        try:
            await wait_writable(self._sock)
        except trio.ClosedResourceError:
            raise Hangup(self) from None


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether the peer has closed or reset the connection, or its half of it, after what is still unread."""
    ends = select.poll()
    ends.register(sock, _HANGUP_OF_PEER)  # hangups of both halves, and errors, are told unasked
    return bool(ends.poll(0))
