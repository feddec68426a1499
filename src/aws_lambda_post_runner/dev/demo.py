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

    def run(self) -> None:
        """Tick for ever."""
        while True:
            time.sleep(TICK_S)
            self.ticks += 1


class Demo:
    """Answers events and remembers its last answer."""

    def __init__(self) -> None:
        self._ticker = Ticker()
        self._ticker.start()
        self._answered_at: float | None = None
        self._ticks_then = 0

    def __call__(self, event: dict[str, Any], _: object) -> dict[str, Any]:
        """Greet somebody, after a moment of work."""
        ticks = self._ticker.ticks - self._ticks_then
        if self._answered_at is not None:
            passed = time.time() - self._answered_at
            print(f"my last answer was {passed:.1f} s ago; ticks of my thread since: {ticks}", flush=True)
        time.sleep(0.05)
        answer = {"greeting": f"Hello {event.get('name', 'world')}", "ticksSinceLastAnswer": ticks}
        self._answered_at, self._ticks_then = time.time(), self._ticker.ticks
        return answer


handler = Demo()
