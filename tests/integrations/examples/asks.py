"""Measures in the handler what it takes to ask the runner to wait; for the bench."""

import time

from post_runner._runner import end_wait, open_wait


def handler(count: int, _context: object) -> list[float]:
    """Return how many milliseconds each of so many requests took."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        token = open_wait("current", "bench")
        times.append((time.perf_counter() - began) * 1000)
        end_wait(token)
    return times
