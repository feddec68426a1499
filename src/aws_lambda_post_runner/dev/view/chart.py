"""Many invocations on one axis: each a lane, its waits and its command lanes of their own; many are folded. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .axis import Axis, Span, axis_of
from .timeline import QUEUED_S, Block, command_did_well, in_words

ONE_LANE_ABOVE = 24
"""So many invocations, with lanes for waits and commands, fit on a tall screen."""
FOLDED_ABOVE = 60
FOLDED_LANES = 20
HEIGHTS = {"queued": -1, "init": 1, "handler": 1, "stream": 2}
"""How high bars lie that share a lane, work at 0: what many wait for must not hide what one of them does."""


@dataclass(frozen=True)
class Bar:
    """Something that took time: queued, init, handler, stream, waits or command; times since the epoch."""

    kind: str
    begin: float
    end: float
    failed: bool = False


@dataclass(frozen=True)
class Lane:
    """A line of the chart."""

    label: str
    bars: tuple[Bar, ...]
    answers: tuple[float, ...]
    """When callers had their answers."""
    note: str


@dataclass(frozen=True)
class Chart:
    """All lanes, the axis that they share, and when the environment was frozen."""

    axis: Axis
    lanes: tuple[Lane, ...]
    freezes: tuple[Span, ...]


def chart_of(blocks: Sequence[Block], now: float) -> Chart:
    """Return the chart of some invocations, in their order; what has not ended yet reaches to `now`."""
    if len(blocks) > FOLDED_ABOVE:
        lanes = _folded(blocks, now)
    elif len(blocks) > ONE_LANE_ABOVE:
        lanes = [_lane(_name(block), [block], now) for block in blocks]
    else:
        lanes = [lane for block in blocks for lane in _lanes_of(block, now)]
    bars = [bar for lane in lanes for bar in lane.bars]
    busy = [(bar.begin, bar.end) for bar in bars if bar.kind != "queued"]
    busy += [(block.sent, block.ended or now) for block in blocks]
    return Chart(axis_of(busy), tuple(lanes), tuple(block.frozen for block in blocks if block.frozen))


def _lanes_of(block: Block, now: float) -> list[Lane]:
    answers = () if block.answered is None else (block.answered,)
    lanes = [Lane(_name(block), tuple(_handler_bars(block, now)), answers, _answer_in_words(block))]
    lanes += [
        Lane(f"  {bar.kind}", (bar,), (), in_words(bar.end - bar.begin)) for bar in _work_bars(block, now)
    ]
    return lanes


def _name(block: Block) -> str:
    return f"{'✗' if block.failures else ' '}#{block.number}"


def _lane(label: str, blocks: Sequence[Block], now: float) -> Lane:
    """Return one lane for some invocations."""
    bars = [bar for block in blocks for bar in (*_work_bars(block, now), *_handler_bars(block, now))]
    bars.sort(key=lambda bar: HEIGHTS.get(bar.kind, 0))
    answers = [block.answered for block in blocks if block.answered is not None]
    waited = [block.answered - block.sent for block in blocks if block.answered is not None]
    if not waited:
        note = ""
    elif len(waited) == 1:
        note = _answer_in_words(blocks[0])
    else:
        note = f"{in_words(min(waited))} to {in_words(max(waited))}"
    return Lane(label, tuple(bars), tuple(answers), note)


def _folded(blocks: Sequence[Block], now: float) -> list[Lane]:
    together = math.ceil(len(blocks) / FOLDED_LANES)
    lanes = []
    for first in range(0, len(blocks), together):
        some = blocks[first : first + together]
        mark = "✗" if any(block.failures for block in some) else " "
        last = "" if len(some) == 1 else f"-{some[-1].number}"
        lanes.append(_lane(f"{mark}#{some[0].number}{last}", some, now))
    return lanes


def _handler_bars(block: Block, now: float) -> list[Bar]:
    bars = []
    if block.init_began is not None:
        bars.append(Bar("init", block.init_began, block.ready or block.ended or now))
    elif (block.handed or now) - block.sent > QUEUED_S:
        bars.append(Bar("queued", block.sent, block.handed or block.ended or now))
    if block.handed is not None:
        end = block.settled or block.ended or now
        bars.append(
            Bar("handler", block.handed, end, failed=block.error_type is not None or block.settled is None)
        )
    if block.parts:
        bars.append(Bar("stream", block.parts[0], block.answered or block.ended or now))
    return bars


def _work_bars(block: Block, now: float) -> list[Bar]:
    bars = []
    if block.command_began is not None:
        failed = bool(block.command) and not command_did_well(block.command)
        bars.append(Bar("command", block.command_began, block.command_ended or block.ended or now, failed))
    if block.waits_ended is not None and block.settled is not None:
        bars.append(Bar("waits", block.settled, block.waits_ended, failed=block.expired_waits > 0))
    return bars


def _answer_in_words(block: Block) -> str:
    if block.answered is None:
        return "no answer"
    return f"answer {in_words(block.answered - block.sent)}"
