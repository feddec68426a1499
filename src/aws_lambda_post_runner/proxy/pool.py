"""Idle connections to the Runtime API, so that not every exchange has to make one.

The last one used is taken first: a handler with one connection keeps to one of ours. None is ever closed for
having been idle long, since timers mean nothing where an environment can be frozen.
"""

from .wire import RuntimeApiWire


class Pool:
    """Connections to the Runtime API at `address`."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._idle: list[RuntimeApiWire] = []

    async def take(self) -> RuntimeApiWire:
        """A connection that the caller owns from now on. Raises OSError if there is none to be had.

        One that went stale meanwhile is not used: the check costs a microsecond, and a request that was sent
        on it could not be sent again, for nobody could tell whether it had arrived.
        """
        while self._idle:
            wire = self._idle.pop()
            if not wire.is_stale():
                return wire
            wire.close()
        return await RuntimeApiWire.connect(self._address)

    def give_back(self, wire: RuntimeApiWire) -> None:
        """The exchange is over; the connection is kept if another can follow on it."""
        if wire.reusable:
            self._idle.append(wire)
        else:
            wire.close()

    def drop_idle(self) -> None:
        """Close all that are idle. After a restore from a snapshot they are clones of connections long gone."""
        while self._idle:
            self._idle.pop().close()
