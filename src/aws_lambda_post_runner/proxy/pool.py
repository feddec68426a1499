"""Connections to the Runtime API: one that is idle if there is one, and a place in the line when descriptors run out.

The idle one that was used last is taken first: a handler with one connection keeps to one of ours. None is ever
closed for having been idle long, since timers mean nothing where an environment can be frozen.

Two descriptors are kept for when there are no others left, one for a poll and one for everything else. So a poll
that waits for its event, however long, keeps no answer waiting, and one exchange after the other goes on.
"""

import errno
import os
from types import TracebackType

import trio

from .ends import RuntimeApiWire

_NONE_LEFT = (errno.EMFILE, errno.ENFILE)
_BREATHER = 0.01
"""Seconds until we try again when descriptors have run out. Others of ours than connections may be closed meanwhile."""


class Spare:
    """A descriptor that is kept for a connection that would not get one."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.renew()

    def renew(self) -> bool:
        """Have one again, if there is one to be had; tell whether there is one now."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                return False
        return True

    def lend(self) -> bool:
        """Make room for one connection; tell whether there was any."""
        if self._descriptor is None:
            return False
        os.close(self._descriptor)
        self._descriptor = None
        return True


class Pool:
    """Connections to the Runtime API at `address`. Belongs to the relay, which closes it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._idle: list[RuntimeApiWire] = []
        self._for_polls = Spare()
        self._for_others = Spare()
        self._is_short = False
        """Whether a spare descriptor is out on loan. Then every connection that is given back makes room for it."""
        self._room_was_made = trio.lowlevel.ParkingLot()

    def taken(self) -> "Taken":
        """A connection for anything but a poll, to be entered."""
        return Taken(self, self._for_others)

    def taken_for_poll(self) -> "Taken":
        """A connection for a poll, to be entered."""
        return Taken(self, self._for_polls)

    async def take(self, spare: Spare) -> RuntimeApiWire:
        """A connection that the caller owns until it gives it back. Raises OSError if the peer takes none.

        An idle one that went stale is not used: the check costs a microsecond, and a request that was sent on it
        could not be sent again, for nobody could tell whether it had arrived.
        """
        while self._idle:
            wire = self._idle.pop()
            if not wire.is_stale():
                return wire
            wire.close()
        try:
            return await RuntimeApiWire.connect(self._address)
        except OSError as error:
            if error.errno not in _NONE_LEFT:
                raise
        return await self._wait_in_line(spare)

    async def _wait_in_line(self, spare: Spare) -> RuntimeApiWire:
        """A connection in the place of that spare descriptor."""
        while not spare.lend():
            with trio.move_on_after(_BREATHER):
                await self._room_was_made.park()
            self._renew_spares()
        self._is_short = True
        try:
            return await RuntimeApiWire.connect(self._address)
        except BaseException:
            self._make_room()
            raise

    def give_back(self, wire: RuntimeApiWire) -> None:
        """The exchange is over; the connection is kept if it is whole and another exchange can follow on it."""
        if wire.is_whole and not self._is_short:
            self._idle.append(wire)
            return
        wire.close()
        if self._is_short:
            self._make_room()

    def drop_idle(self) -> None:
        """Close all that are idle. After a restore from a snapshot they are clones of connections long gone."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close all that nobody has taken."""
        self.drop_idle()
        self._for_polls.lend()
        self._for_others.lend()

    def _make_room(self) -> None:
        """A descriptor was freed: keep it, and let those try that wait for one."""
        self._renew_spares()
        self._room_was_made.unpark_all()

    def _renew_spares(self) -> None:
        renewed = [self._for_others.renew(), self._for_polls.renew()]
        self._is_short = not all(renewed)


class Taken:
    """A connection for one exchange: given back in the end, and kept if it is whole, closed if not."""

    __slots__ = ("_pool", "_spare", "_wire")

    def __init__(self, pool: Pool, spare: Spare) -> None:
        self._pool = pool
        self._spare = spare
        self._wire: RuntimeApiWire
        """There is one from `__aenter__` on; if that fails, `__aexit__` is not called."""

    async def __aenter__(self) -> RuntimeApiWire:
        self._wire = await self._pool.take(self._spare)
        return self._wire

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.give_back(self._wire)
