"""What will go wrong in each invocation: drawn before it begins, from one seed, and known to both ends.

Each table says how often something is drawn, in parts of the whole. `plain` is everywhere the undisturbed way.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

HANDLER = {
    "plain": 400,
    "new connections": 60,  # for each request, as Ruby's client and curl do
    "second connection": 80,  # polls there while post work is under way
    "error": 80,
    "large error": 1,  # with a header of 1 MiB
    "chunks": 60,  # and trailers
    "failed half-way": 40,  # which its trailers tell
    "large response": 2,
    "expects 100": 40,
    "hangs up before the acknowledgement": 60,
    "hangs up and polls at once": 30,
    "cuts its upload": 40,  # and answers again
    "drops its poll while it is held": 30,
    "drops its poll while it is out": 60,
    "asks something ambiguous": 30,
    "answers an unknown id": 30,
    "answers twice": 30,
    "waits": 40,  # asks us to hold the poll longer
    "restores": 10,  # from a snapshot, after which no connection is kept that is not in use
}
"""What the handler does."""

FORMS = {
    "plain": 500,
    "chunked": 60,
    "closes": 60,  # and says so
    "goes stale": 60,  # closes without a word
    "HTTP/1.0": 40,
    "early hints": 40,  # a 103 before it
    "in pieces": 40,
}
"""How the Runtime API sends an event or an acknowledgement."""

EVENT = FORMS | {"large": 4, "none": 20}
"""How a poll is answered; `none`: with a closed connection, and the event goes to the next poll."""

REFUSALS = {"400": 400, "403": 403, "410": 410, "413": 413, "500": 500, "413 early": 413}
NO_ANSWER = ("none", "malformed")

ANSWER = FORMS | dict.fromkeys(REFUSALS, 10) | dict.fromkeys(NO_ANSWER, 15)
"""How an answer of the handler's is acknowledged; the last ones are not."""

COMMAND = {
    "plain": 3000,
    "fails": 200,
    "killed": 200,
    "leaves": 20,  # a process behind that ends later
    "overruns": 1,  # deaf to SIGTERM
}
"""What the post command does. All of them first leave a line that says they have run."""

SAME_ID = 0.05
"""How often an invocation has the request id of the one before."""
IN_TURN = ("drops its poll while it is held", "drops its poll while it is out", "restores")
"""What needs invocations to come one after the other."""
AT_ONCE = {kind: weight for kind, weight in HANDLER.items() if kind not in IN_TURN} | {
    "drops its poll among others": 90
}
"""What the handler does where several invocations are in flight at once."""

ENOUGH, LITTLE = 600.0, 1.5
"""Seconds until the deadline, as a rule and for a command that overruns."""


@dataclass(frozen=True)
class Plan:
    """What will happen in one invocation."""

    number: int
    request_id: str
    """Ends with what the command does, for the command to know."""
    handler: str
    event: str
    answer: str

    @property
    def seconds(self) -> float:
        """How long the deadline is away when the event is handed out."""
        return LITTLE if self.request_id.endswith("-overruns") else ENOUGH

    @property
    def status(self) -> int | None:
        """What the handler is answered; None: its connection is closed."""
        return None if self.answer in NO_ANSWER else REFUSALS.get(self.answer, 202)

    @property
    def kinds(self) -> list[str]:
        """What is not plain about it."""
        command = self.request_id.partition("-")[2]
        drawn = {"handler": self.handler, "event": self.event, "answer": self.answer, "command": command}
        return [f"{what}: {kind}" for what, kind in drawn.items() if kind != "plain"]

    @property
    def outcome(self) -> str:
        """What the command is told."""
        return "error" if self.handler in ("error", "large error", "failed half-way") else "response"


def draw_plans(count: int, seed: int) -> Iterator[Plan]:
    """Draw what happens in `count` invocations that come one after the other, the same for the same seed."""
    yield from _draw_plans(count, seed, HANDLER, SAME_ID)


def draw_plans_at_once(count: int, seed: int) -> Iterator[Plan]:
    """Draw what happens in `count` invocations of which several are in flight at once."""
    yield from _draw_plans(count, seed, AT_ONCE, same_id=0.0)


def _draw_plans(count: int, seed: int, handlers: dict[str, int], same_id: float) -> Iterator[Plan]:
    chance = random.Random(seed)  # noqa: S311 - a seed has to give the same again
    request_id = ""
    for number in range(count):
        if not request_id or chance.random() >= same_id:
            request_id = f"{number:08d}-{_draw(chance, COMMAND)}"
        handler, event, answer = (_draw(chance, table) for table in (handlers, EVENT, ANSWER))
        if answer == "413 early":
            handler = "large response"  # so that most of it is still to be sent when the 413 comes
        yield Plan(number, request_id, handler, event, answer)


def _draw(chance: random.Random, table: dict[str, int]) -> str:
    return chance.choices(list(table), list(table.values()))[0]
