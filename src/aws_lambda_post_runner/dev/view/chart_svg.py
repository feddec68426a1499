"""Charts as one SVG, side by side on one scale, for light and dark pages, with the reader's own fonts. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .chart import Chart, Lane

MARGIN = 16
LABEL = 86
NOTE = 104
BARS = 264
"""The width of what is drawn to scale, in each panel."""
LANE = 20
BAR = 12
HEAD = 64
"""The title, what it says, and the axis."""
FOOT = 40
SINGLE = 2.0
"""A panel that stands alone has so many times the width for its bars."""

STYLE = """\
text { font: 12px ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
.page { fill: #ffffff } .title { font-size: 15px; font-weight: 600 } .quiet { fill: #57606a }
.grid { stroke: #d0d7de } .queued { fill: #afb8c1 } .init { fill: #a475f9 } .handler { fill: #218bff }
.stream { fill: #1a7f37 } .command { fill: #d4a72c } .waits { fill: #bc8f00 } .failed { fill: #cf222e }
.answer { fill: #1a7f37 } .frozen { fill: #ddf4ff } .break { fill: none; stroke: #0969da; stroke-width: 1.5 }
.cut { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117 } .quiet { fill: #9198a1 } .grid { stroke: #30363d }
.frozen { fill: #12243a }
.answer, .stream { fill: #3fb950 } .handler { fill: #388bfd } .command { fill: #e3b341 }
}"""


@dataclass(frozen=True)
class Panel:
    """A chart, with what stands above it."""

    title: str
    words: str
    chart: Chart


def draw_svg(panels: Sequence[Panel]) -> str:
    """Return the picture; all panels have one scale, so that what is twice as long took twice the time."""
    bars = BARS * SINGLE if len(panels) == 1 else BARS
    longest = max([panel.chart.axis.length for panel in panels] + [0.001])
    lanes = max(len(panel.chart.lanes) for panel in panels)
    width = MARGIN + len(panels) * (LABEL + bars + NOTE + MARGIN)
    height = HEAD + lanes * LANE + FOOT
    drawn = [
        element
        for number, panel in enumerate(panels)
        for element in _Pen(MARGIN + number * (LABEL + bars + NOTE + MARGIN), bars / longest, panel).draw()
    ]
    legend = _legend(panels, height - 14)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">'
    title = f"<title>{escape('; '.join(f'{panel.title}: {panel.words}' for panel in panels))}</title>"
    page = f'<rect class="page" width="{width:.0f}" height="{height}" rx="8"/>'
    return "\n".join([head, title, f"<style>{STYLE}</style>", page, *drawn, legend, "</svg>", ""])


class _Pen:
    """Draws one panel whose left edge is at `left`, with `scale` pixels for a second."""

    def __init__(self, left: float, scale: float, panel: Panel) -> None:
        self._left = left
        self._origin = left + LABEL
        self._scale = scale
        self._panel = panel
        self._bottom = HEAD + len(panel.chart.lanes) * LANE

    def draw(self) -> Iterable[str]:
        """Yield its elements, from the back to the front."""
        chart = self._panel.chart
        yield _text(self._left, 24, self._panel.title, "title")
        yield _text(self._left, 42, self._panel.words, "quiet")
        for begin, end in chart.freezes:
            yield self._box("frozen", begin, end, HEAD - 4, self._bottom - HEAD + 8)
        for place, label in chart.axis.ticks(5):
            x = self._origin + place * self._scale
            yield f'<path class="grid" d="M{x:.1f} {HEAD - 4}V{self._bottom + 4}"/>'
            yield _text(x + 2, HEAD - 8, label, "quiet")
        for begin, end in chart.axis.breaks:
            x = self._origin + (begin + end) / 2 * self._scale
            for y in (HEAD - 4, self._bottom + 4):
                yield f'<path class="break" d="M{x - 4:.1f} {y + 4}l4 -8m0 8l4 -8"/>'
        for number, lane in enumerate(chart.lanes):
            yield from self._lane(lane, HEAD + number * LANE)

    def _lane(self, lane: Lane, top: int) -> Iterable[str]:
        name = lane.label.strip()
        yield _text(self._left + (14 if lane.label.startswith("  ") else 0), top + 14, name, "name")
        for bar in lane.bars:
            yield self._box("failed" if bar.failed else bar.kind, bar.begin, bar.end, top + 4, BAR)
        for answer in lane.answers:
            x = self._x(answer)
            yield f'<path class="answer" d="M{x:.1f} {top + 1}l6 9h-12z"><title>answer</title></path>'
        yield _text(
            self._left + LABEL + self._scale * self._panel.chart.axis.length + 8, top + 14, lane.note, "quiet"
        )

    def _box(self, kind: str, begin: float, end: float, top: float, height: float) -> str:
        x = self._x(begin)
        width = max(1.5, self._x(end) - x)  # a millisecond must be seen
        return f'<rect class="{kind}" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}"/>'

    def _x(self, time: float) -> float:
        return self._origin + self._panel.chart.axis.place(time) * self._scale


def _legend(panels: Sequence[Panel], y: int) -> str:
    kinds = {bar.kind for panel in panels for lane in panel.chart.lanes for bar in lane.bars}
    named = [kind for kind in ("queued", "init", "handler", "stream", "command", "waits") if kind in kinds]
    swatches = [f'<tspan class="{kind}">█</tspan> {kind}' for kind in named]
    swatches.append('<tspan class="answer">▲</tspan> answer')
    if any(panel.chart.freezes for panel in panels):
        swatches.append('<tspan class="frozen">█</tspan> frozen')
    if any(panel.chart.axis.breaks for panel in panels):
        swatches.append('<tspan class="cut">//</tspan> cut short')
    return f'<text x="{MARGIN}" y="{y}" xml:space="preserve">{"   ".join(swatches)}</text>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}">{escape(text)}</text>'
