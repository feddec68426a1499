"""The door: the listener, and the handler's connections that are open. Who knocks, and who has not been heard yet.

What is said on a connection is not known here.
"""

import select
import socket
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

from trio.lowlevel import checkpoint, wait_readable

from .ends import HandlerWire
from .turn import turn
from .wire import Peek, have_no_delay

_BACKLOG = 4096
"""What Linux allows by default (`somaxconn`). One that finds no room tries again only after a second."""
_HEARING = 0.01
"""Seconds at most in which what has come is read. As a rule it takes a turn or two of all tasks."""
_TURNS = 20
"""That many it may take in any case: on a busy machine the time can pass without us."""


class Door:
    """Open from the moment it is made, for this machine alone. A context manager; closes the listener in the end.

    Each connection is owned by the task that serves it, which closes it. It is listened to until its request has
    been understood, and again after that was answered.
    """

    def __init__(self) -> None:
        # A free port: the usual ones have known users in Lambda. A literal: Java runs with preferIPv4Stack, Node
        # and .NET want host:port.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        have_no_delay(self._listener)
        self._knocks = select.poll()
        self._knocks.register(self._listener, select.POLLIN)
        self._is_full = False
        self._open: set[HandlerWire] = set()
        self._listened_to: set[HandlerWire] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()

    @property
    def address(self) -> str:
        """Where the handler is to connect: host:port."""
        return "{}:{}".format(*self._listener.getsockname())

    def has_only(self, handler: HandlerWire) -> bool:
        """Tell whether this connection is open, and no other one is."""
        return len(self._open) == 1 and handler in self._open

    async def welcome(self) -> HandlerWire:
        """Wait for the next connection and take it in. Raises OSError if there is no descriptor for it.

        All that knock are let in before anything else is done.
        """
        while True:
            await turn.give_way_in_time()
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                await wait_readable(self._listener)
            except ConnectionError:
                continue  # it went away before we looked
            except OSError:
                self._is_full = True
                raise
            else:
                self._is_full = False
                return self.take_in(sock)

    def take_in(self, sock: socket.socket) -> HandlerWire:
        """Take in a connection that was accepted, and listen to it; it is to be served next."""
        handler = HandlerWire(sock)
        self._open.add(handler)
        self._listened_to.add(handler)
        turn.under_way += 1
        return handler

    def listen_to(self, handler: HandlerWire) -> None:
        """Another request may come on the connection."""
        self._listened_to.add(handler)

    def heard(self, handler: HandlerWire) -> None:
        """A request has been understood. What else comes on the connection is its body, or has to wait for its turn."""
        self._listened_to.discard(handler)

    def see_off(self, handler: HandlerWire) -> None:
        """Close a connection. Can be called again."""
        if handler in self._open:
            turn.under_way -= 1
        self._open.discard(handler)
        self._listened_to.discard(handler)
        handler.close()

    async def wait_until_all_is_heard(self) -> None:
        """Let be read what has come up to now, on connections that are listened to and on those that knock.

        Requests that do not wait for each other come on several connections, and what was sent first may be read
        last.
        """
        if not self._all_is_heard():
            await self._wait_until(self._all_is_heard)

    async def wait_for_last_words(self) -> None:
        """Let be read all that a handler has sent before it exited.

        The end of a connection comes after all that was sent on it. A child of the handler's may hold one open.
        """
        await self._wait_until(self._nobody_is_left)

    async def _wait_until(self, is_done: Callable[[], bool]) -> None:
        gives_up_at, turns = monotonic() + _HEARING, 0
        while not is_done() and (turns < _TURNS or monotonic() < gives_up_at):
            await checkpoint()
            turns += 1

    def _all_is_heard(self) -> bool:
        if self._somebody_knocks():
            return False
        return not self._listened_to or all(each.peek() is not Peek.UNREAD for each in self._listened_to)

    def _nobody_is_left(self) -> bool:
        return not self._listened_to and not self._somebody_knocks()

    def _somebody_knocks(self) -> bool:
        """Tell whether a connection waits to be taken in, and can be."""
        return not self._is_full and bool(self._knocks.poll(0))
