"""The chart as text, for a console of any width. Pure."""

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from .chart import Chart, Lane

CELLS = {
    "queued": ("·", "dim"),
    "init": ("▒", "magenta"),
    "handler": ("█", "cyan"),
    "stream": ("▬", "bold green"),
    "command": ("▓", "yellow"),
    "waits": ("▞", "yellow"),
}
ANSWER = ("▲", "bold green")
FROZEN = ("░", "blue")
BREAK = ("≈", "bold blue")
"""The axis is cut here."""
LEAST_BAR_WIDTH = 10
TICK_WIDTH = 10


def draw_chart(chart: Chart, width: int) -> RenderableType:
    """Return the chart as rich renders it."""
    labels = max((len(lane.label) for lane in chart.lanes), default=0) + 1
    notes = max((len(lane.note) for lane in chart.lanes), default=0) + 1
    bar_width = max(LEAST_BAR_WIDTH, width - labels - notes)
    lines = [
        Text.assemble(f"{lane.label:{labels}}", _bars(chart, lane, bar_width), f" {lane.note}")
        for lane in chart.lanes
    ]
    return Group(Text(" " * labels + _ticks(chart, bar_width), "dim"), *lines, _legend(chart))


def _ticks(chart: Chart, width: int) -> str:
    line = ""
    for place, label in chart.axis.ticks(max(2, width // TICK_WIDTH)):
        column = _column(chart, place, width)
        if column >= len(line) + bool(line) and column + len(label) <= width:
            line = line.ljust(column) + label
    return line


def _bars(chart: Chart, lane: Lane, width: int) -> Text:
    cells: list[tuple[str, str]] = [(" ", "")] * width
    place = chart.axis.place
    for begin, end in chart.freezes:
        # Only what was frozen from one side to the other: a freeze of a millisecond must not fill a second.
        _fill(cells, (math.ceil(_at(chart, place(begin), width)), _column(chart, place(end), width)), FROZEN)
    for begin, end in chart.axis.breaks:
        first, last = _columns(chart, begin, end, width)
        cells[(first + last) // 2] = BREAK
    for bar in lane.bars:
        cell, style = CELLS[bar.kind]
        style = "red" if bar.failed else style
        if cell == "█":  # the background fills what a font leaves open between two cells
            style = f"{style} on {style}"
        _fill(cells, _columns(chart, place(bar.begin), place(bar.end), width), (cell, style))
    for answer in lane.answers:
        cells[min(width - 1, _column(chart, place(answer), width))] = ANSWER
    return Text.assemble(*cells)


def _fill(cells: list[tuple[str, str]], columns: tuple[int, int], cell: tuple[str, str]) -> None:
    for column in range(*columns):
        cells[column] = cell


def _column(chart: Chart, place: float, width: int) -> int:
    return math.floor(_at(chart, place, width))


def _at(chart: Chart, place: float, width: int) -> float:
    return place / max(chart.axis.length, 0.001) * width


def _columns(chart: Chart, begin: float, end: float, width: int) -> tuple[int, int]:
    """Return the first column and the one behind the last: one at least."""
    first = min(width - 1, _column(chart, begin, width))
    return first, min(width, max(first + 1, _column(chart, end, width)))


def _legend(chart: Chart) -> Text:
    kinds = {bar.kind for lane in chart.lanes for bar in lane.bars}
    parts = [(*CELLS[kind], kind) for kind in CELLS if kind in kinds]
    parts.append((*ANSWER, "answer"))
    if chart.freezes:
        parts.append((*FROZEN, "frozen"))
    if any(piece.is_cut for piece in chart.axis.pieces):
        parts.append((*BREAK, "axis cut"))
    return Text.assemble(*_spelt(parts))


def _spelt(parts: list[tuple[str, str, str]]) -> Iterable[tuple[str, str]]:
    for cell, style, name in parts:
        yield cell, style
        yield f" {name}  ", "dim"
