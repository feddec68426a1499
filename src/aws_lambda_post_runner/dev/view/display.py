"""How `dev` shows what happens: as a live timeline on a terminal, plain when piped, or one JSON object a line."""

import shlex
import signal
import time
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Protocol

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.emulator.invoke_endpoint import INVOKE_PATH
from aws_lambda_post_runner.dev.moments import Moment

from .chart import Chart, chart_of
from .chart_svg import Panel, draw_svg
from .chart_text import draw_chart
from .timeline import Block, Timeline, draw, draw_short, in_words, summary

REFRESH_S = 0.1
PLAIN_WIDTH = 110
"""Columns, where there is no terminal to ask."""

SHOWN_WHOLE = 20
"""Of more invocations than these, those that did well get a line each; the chart at the end has them all."""
LIVE_BLOCKS = 3
"""Of more at once, a screen has no room: then they share one axis while they are under way, too."""


class Display(Protocol):
    """Shows moments as they come."""

    def show(self, moment: Moment, complete: Block | None) -> None:
        """Show one, and the block that it completes."""

    async def run(self) -> None:
        """Keep what is shown up to date, until cancelled."""

    def close(self) -> None:
        """Say what is to be said at the end."""


class JsonDisplay:
    """One event a line, for scripts."""

    def show(self, moment: Moment, _: Block | None) -> None:
        """Print it."""
        print(moment.to_json(), flush=True)

    async def run(self) -> None:
        """Nothing is there to refresh."""

    def close(self) -> None:
        """Nothing is left to say."""


class Displays:
    """Several as one."""

    def __init__(self, *displays: Display) -> None:
        self._displays = displays

    def show(self, moment: Moment, complete: Block | None) -> None:
        """Show it on each."""
        for display in self._displays:
            display.show(moment, complete)

    async def run(self) -> None:
        """Run each."""
        async with trio.open_nursery() as nursery:
            for display in self._displays:
                nursery.start_soon(display.run)

    def close(self) -> None:
        """Close each."""
        for display in self._displays:
            display.close()


class TimelineDisplay:
    """Prints the handler's lines as they come, and each invocation's block when it is complete.

    On a terminal the blocks of invocations under way are drawn below, and redrawn as time passes.
    """

    def __init__(
        self, console: Console, options: Options, timeline: Timeline, notes: Sequence[str] = ()
    ) -> None:
        self._console = console
        self._options = options
        self._notes = notes
        self._timeline = timeline
        self._idle_since: tuple[str, float] | None = None
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def show(self, moment: Moment, complete: Block | None) -> None:
        """Show a moment, and the block that it completes."""
        self._print(*self._lines_of(moment))
        match moment.what:
            case "frozen":
                self._idle_since = ("frozen", moment.time)
            case "handed" | "restarted":
                self._idle_since = None
        if complete is not None and complete.number > SHOWN_WHOLE and not complete.failures:
            self._print(draw_short(complete))
        elif complete is not None:
            self._print(draw(complete, moment.time, self._console.width), Text())

    def _lines_of(self, moment: Moment) -> Iterable[RenderableType]:
        """Return what is printed of a moment as it happens."""
        details = moment.details
        match moment.what:
            case "listening":
                yield from self._heading(details["address"])
            case "port-taken":
                note = f"  port {details['port']} is taken, by another `dev` perhaps; hence that one"
                yield Text(note, "yellow")
            case "restarted":
                yield Text(f"  {details['reason']}: the handler starts anew with the next event", "magenta")
            case "environment-started":
                words = f"  handler started: pid {details['pid']}, Runtime API {details['runtimeApi']}"
                yield Text(words, "dim")
            case "environment-ended" if details["exitStatus"] != -signal.SIGKILL:
                yield Text(f"  handler ended: status {details['exitStatus']}", "red")
            case "output":
                yield from _output_lines(details["line"])

    async def run(self) -> None:
        """Redraw what is under way until cancelled."""
        while self._live is not None:
            self._live.update(Group(*self._under_way(time.time())), refresh=True)
            await trio.sleep(REFRESH_S)

    def close(self) -> None:
        """Show what was cut off under way, and sum up."""
        if self._live is not None:
            self._live.stop()
        for block in self._timeline.open.values():
            self._print(draw(block, time.time(), self._console.width), Text())
        if len(self._timeline.done) > 1:
            self._print(Text(), draw_chart(self._chart(), self._console.width), Text())
        if self._timeline.done:
            # A sentence: on a terminal it is wrapped between its words.
            words = Text(summary(self._timeline.done), "bold")
            self._console.print(words, soft_wrap=not self._console.is_terminal)

    def save_svg(self, path: Path) -> None:
        """Save the chart of all invocations as a picture."""
        words = summary(self._timeline.done)
        path.write_text(draw_svg([Panel(self._command(), words, self._chart())]), encoding="utf-8")

    def _chart(self) -> Chart:
        blocks = [*self._timeline.done, *self._timeline.open.values()]
        return chart_of(sorted(blocks, key=lambda block: block.number), time.time())

    def _command(self) -> str:
        # Where a program or a script of ours is installed would only hide which handler it is.
        return shlex.join(
            [Path(word).name if Path(word).is_absolute() else word for word in self._options.handler]
        )

    def _print(self, *renderables: RenderableType) -> None:
        for renderable in renderables:
            # A terminal folds a long line by itself; in a pipe, whoever reads it decides.
            self._console.print(renderable, soft_wrap=True)

    def _heading(self, address: str) -> Iterable[RenderableType]:
        runner = "under the post runner" if self._options.runner else "without the post runner: no post work"
        yield Text.assemble((self._command(), "bold"), f", {runner}")
        yield from (Text(f"  {note}", "dim") for note in self._notes)
        yield Text("  invoke it:")
        yield Text(f"  curl -d '{{}}' http://{address}{INVOKE_PATH}", "cyan")

    def _under_way(self, now: float) -> Iterable[RenderableType]:
        under_way = list(self._timeline.open.values())
        if len(under_way) > LIVE_BLOCKS:
            yield draw_chart(chart_of(under_way, now), self._console.width)
        else:
            yield from (draw(block, now, self._console.width) for block in under_way)
        if self._idle_since is not None:
            what, since = self._idle_since
            yield Text(f"  {what} for {in_words(now - since)}; the next event thaws it", "blue")


def as_text(blocks: Sequence[Block], now: float, width: int) -> str:
    """Return invocations as text without colours: those that failed whole, and of many the others on one axis."""
    text = StringIO()
    console = Console(file=text, width=width, highlight=False)
    few = len(blocks) <= LIVE_BLOCKS
    for block in blocks:
        if few or block.failures or not block.complete:
            console.print(draw(block, now, width), soft_wrap=True)
    if not few:
        console.print(draw_chart(chart_of(blocks, now), width))
    return text.getvalue().rstrip()


def _output_lines(line: str) -> Iterable[Text]:
    # awslambdaric writes a carriage return where a log record has a line break.
    for part in line.split("\r"):
        yield Text.assemble(("  │ ", "dim"), Text.from_ansi(part))
