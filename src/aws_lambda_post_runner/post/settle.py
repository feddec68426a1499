"""The settling time: the poll is held a little after the answer, for exporters that need nothing but time.

It ends early once the handler's processes are quiet; how that is told, and what it cannot see, is in `quiet`. It cannot
see a timer: an exporter that gathers for longer than QUIET_AFTER has to be told to gather for less, or be flushed.
"""

import trio

from .quiet import is_quiet, look_at

QUIET_AFTER = 0.1
"""Seconds between two looks, between which nothing may have happened."""


class Settling:
    """Lets a handler settle, which has this process id and connects to us at `address` (host:port)."""

    def __init__(self, handler: int, address: str) -> None:
        self._handler = handler
        self._our_port = int(address.rpartition(":")[2])

    async def wait(self, seconds: float) -> bool:
        """Return after so many seconds, or when the handler is quiet; tell whether it is."""
        with trio.move_on_after(seconds):
            try:
                await self._quiet()
            except OSError:  # there is no telling, so it gets all its time
                await trio.sleep_forever()
            return True
        return False

    async def _quiet(self) -> None:
        before = look_at(self._handler, self._our_port)
        while True:
            await trio.sleep(QUIET_AFTER)
            after = look_at(self._handler, self._our_port)
            if is_quiet(before, after, QUIET_AFTER):
                return
            before = after
