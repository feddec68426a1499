"""What `invoke` does: sends events to a function that `dev` serves, and says what came back and when."""

import statistics
import sys
import time
from dataclasses import dataclass

import trio

from .emulator.http import Disconnected, Reply, ask
from .emulator.invoke_endpoint import INVOKE_PATH
from .view.timeline import in_words


@dataclass(frozen=True)
class Orders:
    """What to send, and where to."""

    address: str
    event: bytes
    repeat: int
    parallel: int
    invocation_type: str


class Caller:
    """Sends orders and keeps what is to be said of them at the end."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._latencies: list[float] = []
        self._failures: list[str] = []

    async def send_all(self) -> int:
        """Send it all and print the answers; return 1 when the function failed or could not be reached.

        Answers go to standard output, and as they come if there is but one at a time; what is said about them
        goes to standard error.
        """
        limiter = trio.CapacityLimiter(self._orders.parallel)
        async with trio.open_nursery() as nursery:
            for _ in range(self._orders.repeat):
                nursery.start_soon(self._send_one, limiter)
        if len(self._latencies) > 1:
            fastest, slowest = min(self._latencies), max(self._latencies)
            median = statistics.median(self._latencies)
            numbers = f"fastest {in_words(fastest)}, median {in_words(median)}, slowest {in_words(slowest)}"
            _say(f"{len(self._latencies)} answers: {numbers}")
        for failure in dict.fromkeys(self._failures):
            _say(failure)
        return 1 if self._failures else 0

    async def _send_one(self, limiter: trio.CapacityLimiter) -> None:
        orders = self._orders
        on_part = _print_part if orders.parallel == 1 else None
        headers = [("X-Amz-Invocation-Type", orders.invocation_type), ("Content-Type", "application/json")]
        async with limiter:
            began = time.perf_counter()
            try:
                reply = await ask(orders.address, f"POST {INVOKE_PATH}", orders.event, headers, on_part)
            except BrokenPipeError:  # whoever reads what we print has gone
                raise
            except OSError:
                start = "aws-lambda-post-runner dev -- HANDLER"
                self._failures.append(f"nothing answers at {orders.address}; start it with: {start}")
                return
            except Disconnected:
                self._failures.append("the answer was cut short")
                return
            latency = time.perf_counter() - began
        self._latencies.append(latency)
        if on_part is None:
            _print_part(reply.body)
        _print_part(b"\n")
        _say(f"{_verdict(reply)} after {in_words(latency)}")
        if not _did_well(reply):
            self._failures.append("the function failed")


def _did_well(reply: Reply) -> bool:
    return reply.status < 300 and "x-amz-function-error" not in reply.headers


def _verdict(reply: Reply) -> str:
    error = reply.headers.get("x-amz-function-error")
    return f"{reply.status}, function error {error}," if error else str(reply.status)


def _print_part(part: bytes) -> None:
    sys.stdout.buffer.write(part)
    sys.stdout.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
