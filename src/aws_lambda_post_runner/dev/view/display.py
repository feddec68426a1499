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

from .timeline import Block, Timeline, draw, in_words, summary

REFRESH_S = 0.1
PLAIN_WIDTH = 110
"""Columns, where there is no terminal to ask."""

# As rich has it, but with the reader's own fonts: the picture is to show where nothing can be fetched, too.
SVG_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "Fira Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


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
        self._printed: list[RenderableType] = []
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def show(self, moment: Moment, complete: Block | None) -> None:
        """Show a moment, and the block that it completes."""
        match moment.what:
            case "listening":
                self._print(*self._heading(moment.details["address"]))
            case "environment-started":
                pid, address = moment.details["pid"], moment.details["runtimeApi"]
                self._print(Text(f"  handler started: pid {pid}, Runtime API {address}", "dim"))
            case "port-taken":
                note = f"  port {moment.details['port']} is taken, by another `dev` perhaps; hence that one"
                self._print(Text(note, "yellow"))
            case "restarted":
                note = f"  {moment.details['reason']}: the handler starts anew with the next event"
                self._print(Text(note, "magenta"), Text())
                self._idle_since = None
            case "environment-ended" if moment.details["exitStatus"] != -signal.SIGKILL:
                self._print(Text(f"  handler ended: status {moment.details['exitStatus']}", "red"))
            case "output":
                self._print(*_output_lines(moment.details["line"]))
            case "frozen":
                self._idle_since = ("frozen", moment.time)
            case "handed":
                self._idle_since = None
        if complete is not None:
            self._print(draw(complete, moment.time, self._console.width), Text())

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
        if self._timeline.done:
            self._print(Text(summary(self._timeline.done), "bold"))

    def save_svg(self, path: Path, title: str) -> None:
        """Save all that was printed as a picture."""
        console = Console(record=True, width=PLAIN_WIDTH, file=StringIO(), force_terminal=True)
        for renderable in self._printed:
            console.print(renderable)
        console.save_svg(str(path), title=title, code_format=SVG_FORMAT)

    def _print(self, *renderables: RenderableType) -> None:
        for renderable in renderables:
            self._printed.append(renderable)
            # A terminal folds a long line by itself; in a pipe, whoever reads it decides.
            self._console.print(renderable, soft_wrap=True)

    def _heading(self, address: str) -> Iterable[RenderableType]:
        runner = "under the post runner" if self._options.runner else "without the post runner: no post work"
        program, *arguments = self._options.handler
        command = shlex.join([Path(program).name, *arguments])
        yield Text.assemble((command, "bold"), f", {runner}")
        yield from (Text(f"  {note}", "dim") for note in self._notes)
        yield Text("  invoke it:")
        yield Text(f"  curl -d '{{}}' http://{address}{INVOKE_PATH}", "cyan")

    def _under_way(self, now: float) -> Iterable[RenderableType]:
        for block in self._timeline.open.values():
            yield draw(block, now, self._console.width)
        if self._idle_since is not None:
            what, since = self._idle_since
            yield Text(f"  {what} for {in_words(now - since)}; the next event thaws it", "blue")


def _output_lines(line: str) -> Iterable[Text]:
    # awslambdaric writes a carriage return where a log record has a line break.
    for part in line.split("\r"):
        yield Text.assemble(("  │ ", "dim"), Text.from_ansi(part))
