"""What many answers say together: how long they took, cold starts apart, as numbers, in words, as bars. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .view.timeline import counted, in_words

MANY = 10
"""Of fewer answers a histogram says nothing that the list of them does not."""
BINS = 10
LONGEST_BAR = 40
RANGE_WIDTH = 26
COUNT_WIDTH = 8


@dataclass(frozen=True)
class Sent:
    """One event that was sent, and what came of it."""

    status: int | None
    """None: there was no answer, or not all of one."""
    seconds: float
    """Until the answer was complete."""
    start_s: float | None = None
    """How long of that it waited for an execution environment to start, if it did."""
    failure: str = ""
    """What went wrong, in words; empty when all is well."""
    request_id: str = ""
    body: str = ""


@dataclass(frozen=True)
class Percentiles:
    """How long answers took, in milliseconds."""

    fastest: float
    p50: float
    p90: float
    p99: float
    slowest: float

    def __str__(self) -> str:
        return ", ".join(f"{name} {in_words(ms / 1000)}" for name, ms in asdict(self).items())


@dataclass(frozen=True)
class Bin:
    """So many answers took between two times, in milliseconds."""

    begin: float
    end: float
    count: int


@dataclass(frozen=True)
class Sums:
    """All of it together."""

    sent: Sequence[Sent]
    seconds: float
    """From the first event to the last answer."""

    @property
    def answers(self) -> list[Sent]:
        """Those that were answered, be it with an error."""
        return [each for each in self.sent if each.status is not None]

    @property
    def cold(self) -> list[Sent]:
        """Those for which an execution environment had to start."""
        return [each for each in self.answers if each.start_s is not None]

    @property
    def warm(self) -> list[Sent]:
        """The others."""
        return [each for each in self.answers if each.start_s is None]

    @property
    def failures(self) -> dict[str, int]:
        """What went wrong, and how often."""
        return Counter(each.failure for each in self.sent if each.failure)

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return len(self.answers) / max(self.seconds, 0.001)


def percentiles(sent: Sequence[Sent]) -> Percentiles | None:
    """Return how long they took; None of none."""
    times = sorted(each.seconds * 1000 for each in sent)
    if not times:
        return None
    # A value of its own for each, of however few: the median of one is that one.
    cuts = statistics.quantiles([*times, times[-1]] if len(times) == 1 else times, n=100, method="inclusive")
    return Percentiles(times[0], cuts[49], cuts[89], cuts[98], times[-1])


def histogram(sent: Sequence[Sent]) -> list[Bin]:
    """Return bins that each reach as many times as far as the one before: a long tail does not hide the rest."""
    times = [each.seconds * 1000 for each in sent]
    first, last = min(times), max(times)
    factor = max((last / first) ** (1 / BINS), 1 + 1e-9)
    counts = Counter(min(BINS - 1, int(math.log(time / first, factor))) for time in times)
    return [
        Bin(first * factor**number, first * factor ** (number + 1), counts[number]) for number in range(BINS)
    ]


def in_lines(sums: Sums, width: int) -> Iterable[str]:
    """Yield what people want to know, its bars for a terminal of `width` columns."""
    if not sums.answers:
        return
    counting = sums.warm or sums.cold
    yield f"{counted(len(sums.answers), 'answer')}: {percentiles(counting)}"
    if sums.warm and sums.cold:
        yield f"  {_cold_in_words(sums.cold)}, and are not in these numbers"
    errors = sum(sums.failures.values())
    yield f"  {sums.per_second:.3g} answers a second, {counted(errors, 'error') if errors else 'no errors'}"
    if len(counting) >= MANY:
        yield from _bars(histogram(counting), max(1, min(LONGEST_BAR, width - RANGE_WIDTH - COUNT_WIDTH)))


def as_object(sums: Sums) -> dict[str, Any]:
    """Return the same, and each answer, as JSON has it; times in milliseconds."""
    warm = percentiles(sums.warm)
    cold = percentiles(sums.cold)
    return {
        "answers": len(sums.answers),
        "perSecond": round(sums.per_second, 3),
        "failures": sums.failures,
        "warmMs": warm and _rounded(asdict(warm)),
        "coldMs": cold and _rounded(asdict(cold)),
        "histogramMs": [_rounded(asdict(each)) for each in histogram(sums.warm)] if sums.warm else [],
        "sent": [_sent_as_object(each) for each in sums.sent],
    }


def _sent_as_object(sent: Sent) -> dict[str, Any]:
    return {
        "requestId": sent.request_id or None,
        "status": sent.status,
        "failure": sent.failure or None,
        "ms": round(sent.seconds * 1000, 3),
        "startMs": sent.start_s and round(sent.start_s * 1000, 3),
        "body": sent.body,
    }


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, 3) for name, number in numbers.items()}


def _cold_in_words(cold: Sequence[Sent]) -> str:
    times = [each.seconds for each in cold]
    between = in_words(min(times)) if len(cold) == 1 else f"{in_words(min(times))} to {in_words(max(times))}"
    return f"{len(cold)} of them waited for the handler to start: {between}"


def _bars(bins: Sequence[Bin], longest: int) -> Iterable[str]:
    most = max(each.count for each in bins)
    for each in bins:
        bar = "█" * math.ceil(each.count / most * longest)
        reach = f"  {each.begin:8.1f} to {each.end:.1f} ms"
        yield f"{reach:{RANGE_WIDTH}} {bar} {each.count or ''}".rstrip()
