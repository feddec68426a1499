"""One axis of time for many invocations: in proportion, but for long stretches in which nothing happens. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_SHARE = 0.08
"""A gap that is longer than this share of the busy time is cut down to it."""
TICKS = 8
"""At most so many on an axis; fewer where one is narrow."""
LEAST_TICKS = 2
STEPS = (1, 2, 5)

Span = tuple[float, float]


@dataclass(frozen=True)
class Piece:
    """A stretch of the axis: from `begin` to `end`, drawn as long as `shown` seconds."""

    begin: float
    end: float
    shown: float

    @property
    def is_cut(self) -> bool:
        """It is drawn shorter than it was."""
        return self.shown < self.end - self.begin


@dataclass(frozen=True)
class Axis:
    """Where each moment lies, in seconds as they are shown."""

    pieces: tuple[Piece, ...]

    @property
    def origin(self) -> float:
        """The time at its beginning."""
        return self.pieces[0].begin if self.pieces else 0.0

    @property
    def length(self) -> float:
        """Its shown length."""
        return sum(piece.shown for piece in self.pieces)

    @property
    def breaks(self) -> Iterable[Span]:
        """Where it is cut: shown begins and ends."""
        return [(self.place(each.begin), self.place(each.end)) for each in self.pieces if each.is_cut]

    def place(self, time: float) -> float:
        """Return where a moment lies; what is outside lies at an end."""
        shown = 0.0
        for piece in self.pieces:
            if time < piece.end:
                inside = max(0.0, time - piece.begin) / (piece.end - piece.begin)
                return shown + inside * piece.shown
            shown += piece.shown
        return shown

    def ticks(self, at_most: int = TICKS) -> Sequence[tuple[float, str]]:
        """Return places with what is to be written there: the time since the origin, in round numbers.

        There are two at least, though the round numbers of a coarse step may all lie where the axis is cut.
        """
        found: list[tuple[float, str]] = []
        while self.length and len(found) < LEAST_TICKS:
            found = list(self._ticks(_round_step(self.length / at_most)))
            at_most *= 2
        return found

    def _ticks(self, step: float) -> Iterable[tuple[float, str]]:
        for piece in self.pieces:
            if piece.is_cut:
                continue
            first = math.ceil((piece.begin - self.origin) / step - 1e-6)
            last = math.floor((piece.end - self.origin) / step + 1e-6)
            for number in range(first, last + 1):
                seconds = number * step
                yield self.place(self.origin + seconds), _round_in_words(seconds)


def axis_of(busy: Sequence[Span]) -> Axis:
    """Return the axis on which spans lie that may overlap, in any order."""
    merged: list[Span] = []
    for begin, end in sorted(busy):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    longest_gap = GAP_SHARE * max(sum(end - begin for begin, end in merged), 0.001)
    pieces = [Piece(begin, end, end - begin) for begin, end in merged if end > begin]
    gaps = [
        Piece(before.end, after.begin, min(after.begin - before.end, longest_gap))
        for before, after in pairwise(pieces)
        if after.begin > before.end
    ]
    return Axis(tuple(sorted([*pieces, *gaps], key=lambda piece: piece.begin)))


def _round_step(seconds: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is not less than `seconds`."""
    power = 10.0 ** math.floor(math.log10(max(seconds, 0.0001)))
    return next(step * power for step in (*STEPS, 10) if step * power >= seconds * 0.999)


def _round_in_words(seconds: float) -> str:
    if seconds == 0:
        return "0"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
