"""When the task that runs now has to let others run: sockets are tried first, and may never have to be waited for."""

from time import monotonic

from trio.lowlevel import checkpoint

_TURN = 0.001
"""Seconds that tasks may go on without waiting before the others (signals, deadlines) have their turn."""


class Turn:
    """One for all tasks together, since there is one thread."""

    __slots__ = ("contended_until", "ends_at", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        """How much goes on: open connections of the handler's, bodies that pass one way while the other is heard, post
        work. As long as it is 1, the one task that waits for the next message keeps nobody waiting.
        """
        self.contended_until = 0.0
        """By the monotonic clock: until then the processor is taken to be wanted by others than us and our peers."""
        self.ends_at = 0.0
        """By the monotonic clock. Compared before `give_way` is called where every microsecond counts."""

    async def give_way(self) -> None:
        """Let the others run; a new turn begins."""
        await checkpoint()
        self.ends_at = monotonic() + _TURN

    async def give_way_in_time(self) -> None:
        """Let the others run if this turn has been long enough."""
        if monotonic() > self.ends_at:
            await self.give_way()


turn = Turn()
