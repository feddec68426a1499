"""The handler of `dev demo`: it answers at once, while a thread of its own ticks ten times a second.

The ticks after an answer show whether the environment lived on or was frozen. Each event gets those of the last.
"""

import threading
import time
from typing import Any

TICK_S = 0.1


class Ticker(threading.Thread):
    """Counts ticks from its start until the process ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ticks = 0
        self.ticked = threading.Event()
        """It has, at least once."""

    def run(self) -> None:
        """Tick for ever."""
        while True:
            time.sleep(TICK_S)
            self.ticks += 1
            self.ticked.set()


class Demo:
    """Answers events, and remembers when it last did and how often the ticker had ticked then."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._last: tuple[float, int] | None = None

    def __call__(self, event: dict[str, Any], _: object) -> dict[str, Any]:
        """Greet somebody, after a moment of work."""
        ticks = 0
        if self._last is not None:
            when, ticks_then = self._last
            ticks = self._ticker.ticks - ticks_then
            passed = time.time() - when
            print(f"my last answer was {passed:.1f} s ago; ticks of my thread since: {ticks}", flush=True)
        time.sleep(0.05)
        answer = {"greeting": f"Hello {event.get('name', 'world')}", "ticksSinceLastAnswer": ticks}
        self._last = time.time(), self._ticker.ticks
        return answer


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer an event; the first one starts the ticker."""
    if not _ticker.is_alive():
        _ticker.start()
    return _demo(event, context)


_ticker = Ticker()
_demo = Demo(_ticker)
