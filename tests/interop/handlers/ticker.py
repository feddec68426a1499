"""Has a thread that notes the time ten times a second, and answers with what it has noted."""

import threading
import time

ticks: list[float] = []


def tick() -> None:
    while True:
        time.sleep(0.1)
        ticks.append(time.time())


threading.Thread(target=tick, daemon=True).start()


def handler(_event: object, _context: object) -> list[float]:
    return ticks
