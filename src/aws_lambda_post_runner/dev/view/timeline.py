"""The timeline: moments in, one block of bars for each invocation out. Pure: it prints nothing, reads no clock."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from aws_lambda_post_runner.dev.moments import Moment

LABEL_WIDTH = 11
NOTE_WIDTH = 34
# A freeze can last for hours; what is longer than the rest of the block is cut to this share of it.
FROZEN_SHARE = 0.5
# Of more waits that have names, these are shown.
NAMED_WAITS = 8
NAME_WIDTH = 24

# What is shorter is no waiting, but the way through this process.
QUEUED_S = 0.01
CELLS = {"frozen": "░", "queued": "·"}


@dataclass(frozen=True)
class Row:
    """A bar, or a mark where `begin` equals `end`; times in seconds since the epoch."""

    label: str
    style: str
    begin: float
    end: float
    note: str


@dataclass
class NamedWait:
    """Something that the handler asked to wait for and that has a name; times in seconds since the epoch."""

    name: str
    began: float
    ended: float | None = None
    """None until it has ended, and for good if it was given up."""


@dataclass
class Block:
    """What is known of one invocation; times in seconds since the epoch, None while it is not known."""

    number: int
    request_id: str
    sent: float
    kind: str
    frozen: tuple[float, float] | None = None
    """The freeze before it, if the environment was frozen."""
    init_began: float | None = None
    """Only for the invocation that started the environment."""
    ready: float | None = None
    handed: float | None = None
    settled: float | None = None
    error_type: str | None = None
    answered: float | None = None
    answer_status: int | None = None
    parts: list[float] = field(default_factory=list)
    """When the parts of a streamed answer went to the caller."""
    preview: str = ""
    """How the answer begins."""
    command_began: float | None = None
    command_ended: float | None = None
    command: dict[str, Any] = field(default_factory=dict)
    """What the runner reports of the ended command."""
    fallback_began: float | None = None
    fallback_ended: float | None = None
    fallback: dict[str, Any] = field(default_factory=dict)
    """What it reports of the fallback command."""
    named_waits: list[NamedWait] = field(default_factory=list)
    waits_ended: float | None = None
    expired_waits: int = 0
    killed: list[str] = field(default_factory=list)
    """The command lines of what Lambda would have killed at the timeout."""
    ended: float | None = None
    how_ended: str = ""

    @property
    def complete(self) -> bool:
        """Nothing more will be learnt of it."""
        return self.ended is not None and self.answered is not None

    @property
    def failures(self) -> list[str]:
        """What went wrong, in words; empty when the invocation and its command did well."""
        found = []
        if self.error_type is not None:
            found.append(f"the handler failed: {self.error_type}")
        if self.how_ended == "timeout":
            found.append("the function timed out")
            found += [f"Lambda would have killed: {line}" for line in self.killed]
        if self.how_ended == "crash":
            found.append("the handler ended before it polled again")
        if self.command and not command_did_well(self.command):
            found.append(f"the post command: {command_in_words(self.command)}")
        if self.fallback and not command_did_well(self.fallback):
            found.append(f"the fallback command: {command_in_words(self.fallback)}; the work is lost")
        if self.expired_waits:
            found.append(f"{self.expired_waits} of the handler's waits expired")
        return found


class Timeline:
    """Sorts moments into blocks."""

    def __init__(self) -> None:
        self.open: dict[str, Block] = {}
        """By request id, in the order in which they were sent."""
        self.done: list[Block] = []
        self._frozen_since: float | None = None
        self._freeze: tuple[float, float] | None = None

    def add(self, moment: Moment) -> Block | None:
        """Take a moment in; return the block that it completes, if it does."""
        match moment.what:
            case "frozen":
                self._frozen_since = moment.time
            case "thawed" if self._frozen_since is not None:
                self._freeze, self._frozen_since = (self._frozen_since, moment.time), None
            case "environment-started":
                self._note_init(moment.time)
            case "environment-ended":
                self._frozen_since = None
            case "sent" if moment.request_id is not None:
                number = len(self.done) + len(self.open) + 1
                block = Block(number, moment.request_id, moment.time, moment.details["type"])
                self.open[moment.request_id] = block
            case "environment-ready":
                for block in self.open.values():
                    block.ready = block.ready or moment.time
            case _ if moment.request_id in self.open:
                return self._add_to(self.open[moment.request_id], moment)
        return None

    def _note_init(self, time: float) -> None:
        waiting = [block for block in self.open.values() if block.handed is None]
        if waiting:
            waiting[0].init_began = time

    def _add_to(self, block: Block, moment: Moment) -> Block | None:
        details = moment.details
        match moment.what:
            case "handed":
                block.handed = moment.time
                block.frozen, self._freeze = self._freeze, None
            case "settled":
                block.settled, block.error_type = moment.time, details["errorType"]
            case "answer-part":
                block.parts.append(moment.time)
            case "answered":
                block.answered = moment.time
                block.answer_status, block.preview = details["status"], details["preview"]
            case "post-command-started" | "post-command-ended":
                _note_command(block, moment)
            case "fallback-command-started" | "fallback-command-ended":
                _note_fallback(block, moment)
            case "wait-begun" | "wait-ended" | "waits-ended":
                _note_wait(block, moment)
            case "killed" | "ended":
                _note_end(block, moment)
        if not block.complete:
            return None
        del self.open[block.request_id]
        self.done.append(block)
        return block


def _note_command(block: Block, moment: Moment) -> None:
    if moment.what == "post-command-started":
        block.command_began = block.command_began or moment.time  # it may be run again
    else:
        block.command_ended, block.command = moment.time, moment.details


def _note_fallback(block: Block, moment: Moment) -> None:
    if moment.what == "fallback-command-started":
        block.fallback_began = moment.time
    else:
        block.fallback_ended, block.fallback = moment.time, moment.details


def _note_wait(block: Block, moment: Moment) -> None:
    """Of several with one name it is the oldest that has ended: there is no telling them apart."""
    details = moment.details
    if moment.what == "waits-ended":
        block.waits_ended, block.expired_waits = moment.time, details["expired"]
    elif moment.what == "wait-begun" and details["name"]:
        block.named_waits.append(NamedWait(details["name"], moment.time))
    elif moment.what == "wait-ended":
        same = (each for each in block.named_waits if each.name == details["name"] and each.ended is None)
        for wait in islice(same, 1):
            wait.ended = moment.time


def _note_end(block: Block, moment: Moment) -> None:
    if moment.what == "killed":
        block.killed = moment.details["programs"]
    else:
        block.ended, block.how_ended = moment.time, moment.details["how"]


def rows(block: Block, now: float) -> list[Row]:
    """Return the bars of a block, in the order of time; what has not ended yet reaches to `now`."""
    found = []
    if block.frozen is not None:
        began, ended = block.frozen
        found.append(Row("frozen", "blue", began, ended, f"{in_words(ended - began)} before this event"))
    if block.init_began is None and block.handed is not None and block.handed - block.sent > QUEUED_S:
        waited = block.handed - block.sent
        found.append(Row("queued", "dim", block.sent, block.handed, f"{in_words(waited)} for its turn"))
    if block.init_began is not None:
        ready = block.ready or block.ended or now
        found.append(Row("init", "magenta", block.init_began, ready, in_words(ready - block.init_began)))
    if block.handed is not None:
        settled = block.settled or block.ended or now
        outcome = f", error {block.error_type}" if block.error_type else ""
        found.append(
            Row("handler", "cyan", block.handed, settled, in_words(settled - block.handed) + outcome)
        )
    if block.parts:
        words = (
            f"first byte after {in_words(block.parts[0] - block.sent)}, {counted(len(block.parts), 'part')}"
        )
        end = block.answered or block.ended or now
        found.append(Row("stream", "bold green", block.parts[0], end, words))
    if block.answered is not None:
        status = block.answer_status or "cut short"
        note = f"after {in_words(block.answered - block.sent)}: {status}"
        found.append(Row("answer", "bold green", block.answered, block.answered, note))
    found += _command_rows(block, now)
    found += _wait_rows(block, now)
    if block.waits_ended is not None and block.settled is not None:
        note = in_words(block.waits_ended - block.settled)
        found.append(Row("waits", "yellow", block.settled, block.waits_ended, note))
    if block.ended is not None:
        label = "next poll" if block.how_ended == "polled" else "end"
        note = f"after {in_words(block.ended - block.sent)}"
        found.append(Row(label, "bold", block.ended, block.ended, note))
    return found


def _wait_rows(block: Block, now: float) -> list[Row]:
    """Return a bar for each wait that has a name, up to so many; all waits have one together."""
    found = []
    for wait in block.named_waits[:NAMED_WAITS]:
        ended = wait.ended or block.waits_ended or block.ended or now
        is_given_up = wait.ended is None and block.waits_ended is not None
        words = in_words(ended - wait.began) + (", given up" if is_given_up else "")
        name = wait.name if len(wait.name) <= NAME_WIDTH else f"{wait.name[: NAME_WIDTH - 1]}…"
        found.append(Row("wait", "red" if is_given_up else "yellow", wait.began, ended, f"{name} {words}"))
    return found


def _command_rows(block: Block, now: float) -> list[Row]:
    commands = [
        ("post work", block.command_began, block.command_ended, block.command),
        ("fallback", block.fallback_began, block.fallback_ended, block.fallback),
    ]
    return [
        _command_row(label, began, ended or now, report)
        for label, began, ended, report in commands
        if began is not None
    ]


def _command_row(label: str, began: float, ended: float, report: dict[str, Any]) -> Row:
    words = f", {command_in_words(report)}" if report else ""
    style = "yellow" if not report or command_did_well(report) else "red"
    return Row(label, style, began, ended, in_words(ended - began) + words)


def draw_short(block: Block) -> Text:
    """Return a block in one line, for one of many."""
    mark = ("✗", "bold red") if block.failures else ("✓", "bold green")
    answered = (
        "no answer" if block.answered is None else f"answer after {in_words(block.answered - block.sent)}"
    )
    begin, end = block.command_began, block.command_ended
    work = "" if begin is None or end is None else f", post work {in_words(end - begin)}"
    return Text.assemble(mark, (f" #{block.number} ", "bold"), f"{answered}{work}")


def draw(block: Block, now: float, width: int) -> RenderableType:
    """Return a block as rich renders it, for a console of `width` columns; its notes may reach beyond them."""
    verdict, style = ("✗", "bold red") if block.failures else ("✓", "bold green")
    mark = (verdict, style) if block.complete else ("•", "dim")
    head = Text.assemble(mark, (f" #{block.number} ", "bold"), (f"{block.request_id}  {block.kind}", "dim"))
    bar_width = max(10, width - LABEL_WIDTH - NOTE_WIDTH - 6)
    all_rows = rows(block, now)
    bars = [
        Text.assemble(f"  {row.label}".ljust(LABEL_WIDTH + 1), _bar(row, *columns, bar_width), f" {row.note}")
        for row, columns in zip(all_rows, _columns(all_rows, bar_width), strict=True)
    ]
    preview = [Text(f"  → {block.preview}", "dim")] if block.preview else []
    return Group(head, *bars, *preview, *(Text(f"  {failure}", "red") for failure in block.failures))


def _columns(all_rows: list[Row], width: int) -> Iterable[tuple[int, int]]:
    """Return where each bar begins and ends: time in proportion to columns, but a long freeze is cut."""
    frozen = [row for row in all_rows if row.label == "frozen"]
    others = [row for row in all_rows if row.label != "frozen"]
    first = min((row.begin for row in others), default=0.0)
    last = max((row.end for row in others), default=0.0)
    busy = max(last - first, 0.001)
    shown = min(sum(row.end - row.begin for row in frozen), busy * FROZEN_SHARE)
    origin, scale = first - shown, width / (busy + shown)
    for row in all_rows:
        begin = min(width - 1, math.floor((max(row.begin, origin) - origin) * scale))
        end = min(width, max(begin + 1, math.floor((row.end - origin) * scale)))
        yield begin, end


def _bar(row: Row, begin: int, end: int, width: int) -> Text:
    cell, style = CELLS.get(row.label, "█"), row.style
    if row.begin == row.end:
        cell = "▲"
    elif cell == "█":  # the background fills what a font leaves open between two cells
        style = f"{style} on {style}"
    return Text.assemble(" " * begin, (cell * (end - begin), style), " " * (width - end))


def summary(blocks: list[Block]) -> str:
    """Return what all blocks say together, in a sentence."""
    answered = [block.answered - block.sent for block in blocks if block.answered is not None]
    ends = [(block.command_began, block.command_ended) for block in blocks]
    work = sum(ended - began for began, ended in ends if began is not None and ended is not None)
    failed = sum(1 for block in blocks if block.failures)
    parts = [counted(len(blocks), "invocation")]
    if answered:
        parts.append(f"answered after {in_words(max(answered))} at most")
    if work:
        parts.append(f"{in_words(work)} of post work after the answers")
    parts.append(f"{failed} failed" if failed else "none failed")
    return ", ".join(parts)


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural where there are several."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_words(seconds: float) -> str:
    """Return a duration as people read it: 0.4 ms, 41 ms, 2.01 s."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def command_did_well(command: dict[str, Any]) -> bool:
    """Tell it from what the runner reports of an ended command."""
    return command["exitStatus"] == 0 and not command["cutOffBy"] and not command["problem"]


def command_in_words(command: dict[str, Any]) -> str:
    """Return how a post command ended."""
    if command["problem"]:
        return str(command["problem"])
    end = f"signal {command['signal']}" if command["exitStatus"] is None else f"exit {command['exitStatus']}"
    return f"{end}, cut off by {command['cutOffBy']}" if command["cutOffBy"] else end
