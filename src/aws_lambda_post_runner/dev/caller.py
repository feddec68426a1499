"""What `invoke` does: sends events to a function that `dev` serves, and says what came back and when."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .emulator.http import Disconnected, Reply, ask
from .emulator.invoke_endpoint import INVOKE_PATH, START_HEADER
from .latency import Sent, Sums, as_object, in_lines
from .view.timeline import in_words


@dataclass(frozen=True)
class Orders:
    """What to send, and where to."""

    address: str
    event: bytes
    repeat: int
    parallel: int
    invocation_type: str
    as_json: bool = False
    """Print one JSON object in place of the answers and of what is said about them."""


class Caller:
    """Sends orders and keeps what came of them.

    Answers go to standard output, and as they come if there is but one at a time; what is said about them goes to
    standard error. Of many, a terminal shows how far they are, and the answers only where they go elsewhere.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._sent: list[Sent] = []
        many, error = orders.repeat > 1, Console(stderr=True)
        self._prints_answers = not orders.as_json and not (many and sys.stdout.isatty())
        self._progress = _progress(error, show=many and error.is_terminal)
        self._says_each = not orders.as_json and self._progress.disable

    async def send_all(self) -> int:
        """Send it all and print what came of it; return 1 when the function failed or could not be reached."""
        limiter = trio.CapacityLimiter(self._orders.parallel)
        began = time.perf_counter()
        with self._progress:
            task = self._progress.add_task("answers", total=self._orders.repeat)
            async with trio.open_nursery() as nursery:
                for _ in range(self._orders.repeat):
                    nursery.start_soon(self._send_one, limiter, lambda: self._progress.advance(task))
        sums = Sums(self._sent, time.perf_counter() - began)
        if self._orders.as_json:
            print(json.dumps(as_object(sums)))
        else:
            self._sum_up(sums)
        return 1 if sums.failures else 0

    def _sum_up(self, sums: Sums) -> None:
        if self._orders.repeat > 1:
            for line in in_lines(sums, shutil.get_terminal_size().columns):
                _say(line)
        for failure, often in sums.failures.items():
            _say(failure if often == 1 or not sums.answers else f"{often} times: {failure}")

    async def _send_one(self, limiter: trio.CapacityLimiter, advance: Callable[[], None]) -> None:
        orders = self._orders
        passes_on = self._prints_answers and orders.parallel == 1
        headers = [("X-Amz-Invocation-Type", orders.invocation_type), ("Content-Type", "application/json")]
        async with limiter:
            began = time.perf_counter()
            try:
                reply = await ask(
                    orders.address,
                    f"POST {INVOKE_PATH}",
                    orders.event,
                    headers,
                    _print_part if passes_on else None,
                )
            except BrokenPipeError:  # whoever reads what we print has gone
                raise
            except OSError:
                start = "aws-lambda-post-runner dev -- HANDLER"
                sent = _unanswered(began, f"nothing answers at {orders.address}; start it with: {start}")
            except Disconnected:
                sent = _unanswered(began, "the answer was cut short")
            else:
                sent = _answered(began, reply)
        self._sent.append(sent)
        if sent.status is not None and self._prints_answers:
            _print_part(b"\n" if passes_on else f"{sent.body}\n".encode())
        if sent.status is not None and self._says_each:
            _say(_verdict(sent))
        advance()


def _progress(console: Console, *, show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not show,
    )


def _unanswered(began: float, why: str) -> Sent:
    return Sent(None, time.perf_counter() - began, failure=why)


def _answered(began: float, reply: Reply) -> Sent:
    start = reply.headers.get(START_HEADER.lower())
    error = reply.headers.get("x-amz-function-error")
    failed = reply.status >= 300 or error is not None
    return Sent(
        status=reply.status,
        seconds=time.perf_counter() - began,
        start_s=None if start is None else float(start) / 1000,
        failure=f"the function failed: {_error_in(reply)}" if failed else "",
        request_id=reply.headers.get("x-amzn-requestid", ""),
        body=reply.body.decode(errors="replace"),
    )


def _error_in(reply: Reply) -> str:
    """Return what the answer calls the error, as Lambda's own errors and the runtime clients have it."""
    try:
        said = json.loads(reply.body)
    except ValueError:
        said = None
    kind = said.get("errorType") if isinstance(said, dict) else None
    return str(kind or f"status {reply.status}")


def _verdict(sent: Sent) -> str:
    start = "" if sent.start_s is None else f", {in_words(sent.start_s)} of it to start the handler"
    error = ", function error," if sent.failure else ""
    return f"{sent.status}{error} after {in_words(sent.seconds)}{start}"


def _print_part(part: bytes) -> None:
    sys.stdout.buffer.write(part)
    sys.stdout.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
