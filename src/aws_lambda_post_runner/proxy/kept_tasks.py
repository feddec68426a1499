"""Tasks that are kept for the next connection: to make one and to end it takes as long as to relay a small head.

Ruby's client, and every curl in a shell, makes a connection for each request: two in an invocation.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio
from trio.lowlevel import ParkingLot

_KEPT = 4
"""Tasks that may wait for something to do. On Managed Instances more run at once, but there connections are kept."""

T = TypeVar("T")


class KeptTasks(Generic[T]):
    """Tasks in `nursery` that call `run` with what they are given, each with one thing at a time."""

    def __init__(self, nursery: trio.Nursery, run: Callable[[T], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._run = run
        self._given: deque[T] = deque()
        self._idle = ParkingLot()

    def start(self, thing: T) -> None:
        """Have a task call `run` with this, a new one if none is idle."""
        self._given.append(thing)
        if self._idle:
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work)

    async def _work(self) -> None:
        """Whoever was woken for a thing may find that another has taken it, and ends then: it is not needed."""
        while self._given:
            await self._run(self._given.popleft())
            if self._given:
                continue
            if len(self._idle) >= _KEPT:
                return
            await self._idle.park()
