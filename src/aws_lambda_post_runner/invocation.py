"""What is known of one invocation, and the environment that a post command gets from it. No IO, but for the clock."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from . import runtime_api
from .settings import PREFIX, Settings

_DEADLINE_DIGITS = 15
"""13 will do until the year 2286."""


_LONGEST_VALUE = 64 * 1024
"""Bytes. Linux starts nothing with a variable of more than 128 KiB, name included (execve(2), MAX_ARG_STRLEN); the
type of an error can be as long as a header."""


class Outcome(Enum):
    """How the handler answered."""

    RESPONSE = "response"
    ERROR = "error"
    TIMEOUT = "timeout"
    """Not yet, and the function's timeout is near."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that the handler asked us to wait for."""

    name: str
    """What the handler calls it; empty if it said nothing."""
    began: float
    """When it asked, in seconds since 1970."""


@dataclass(slots=True, eq=False)
class Invocation:
    """One invocation, from its event to its answer. What is not known is None, an empty text or empty."""

    request_id: str
    invocation_id: str = ""
    deadline_ms: int | None = None
    """When the function's timeout is up, in ms since 1970 by the wall clock."""
    function_arn: str = ""
    trace_id: str = ""
    tenant_id: str = ""
    cold_start: bool = False
    handed_out_at: float | None = None
    """When the handler got its event, in seconds since 1970; None if we did not see that."""
    answer_has_begun: bool = False
    """Whether the handler has begun to send an answer, whatever became of it."""
    work: list[bytes] = field(default_factory=list)
    """What the handler handed over for the command's standard input."""
    waits: dict[str, Wait] = field(default_factory=dict)
    """What the handler asked us to wait for and that has not ended, by tokens."""
    waits_begun: int = 0
    """How often the handler asked us to wait for something."""
    disarm: Callable[[], None] | None = None
    """Stops what is timed by its deadline; called when it is not in flight any more. None: nothing is."""
    given_to: int | None = None
    """Where several are in flight, the handler's port of the connection that the event went to; None: not known."""
    captured: dict[str, list[bytearray] | None] = field(default_factory=dict)
    """By name, `event` or `response`: what the command is to get as a file; None if it was too much."""

    @property
    def ids(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.request_id, self.invocation_id


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """An invocation that the Runtime API has taken the answer of."""

    invocation: Invocation
    outcome: Outcome
    error_type: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How a post command ended. One that was never started has neither a status nor a signal."""

    exit_status: int | None = None
    signal: int | None = None
    duration_ms: int = 0
    cut_off_by: str = ""
    """`timeout`, `deadline` or `shutdown`; empty if it ended by itself."""
    problem: str = ""
    """Why it was not started, in words."""
    not_captured: tuple[str, ...] = ()
    """What it should have got as a file and did not."""

    @property
    def succeeded(self) -> bool:
        """Whether it has done its work, as far as its end tells."""
        return not (self.exit_status or self.signal or self.cut_off_by or self.problem)

    @property
    def failed(self) -> bool:
        """Whether somebody should know."""
        return not self.succeeded or bool(self.not_captured)


@dataclass(frozen=True, slots=True)
class WaitsEnding:
    """How what the handler asked us to wait for has ended, all of one invocation."""

    begun: int
    expired: tuple[Wait, ...]
    """Those that had to be given up."""
    duration_ms: int
    """From the end of the command, or else from the answer."""
    cut_off_by: str = ""
    """`timeout`, `deadline`, `shutdown`, or `exit` if the handler itself has ended; empty if none was given up."""


class State(Enum):
    """Where an invocation is, between its event and the end of its post work."""

    IN_FLIGHT = "in flight"
    """The handler has its event."""
    REFUSED = "refused"
    """An answer to it was refused. It is over, unless the handler may still report an error instead."""
    SETTLED = "settled"
    """It was answered, and its post work is under way."""


class Invocations:
    """All invocations that are not over, each in one state. The relay leads them here, post work takes them out.

    A request id alone can come twice, since a retry or a caller may use it again. At most LIMIT are kept without an
    answer; a handler that polls on without ever answering must not fill us up. Of those whose answer was refused only
    as many are kept as Lambda can have given out: `at_once` with those in flight.
    """

    LIMIT = 1024

    def __init__(self, at_once: int = LIMIT) -> None:
        self._at_once = at_once
        self._states: dict[Invocation, State] = {}
        self._seen_any = False

    def add(self, headers: Mapping[bytes, bytes]) -> Invocation:
        """Note the invocation whose event's head has these headers (names in lower case).

        A client that polls again before it answered gets the same event again: the same invocation then.
        """
        invocation = _read_event_head(headers, cold_start=not self._seen_any)
        self._seen_any = True
        for known in self.unanswered():
            if known.ids == invocation.ids:
                if known.deadline_ms == invocation.deadline_ms:
                    return known
                self.end(known)
        self._states[invocation] = State.IN_FLIGHT
        self._drop_surplus()
        return invocation

    def refuse(self, invocation: Invocation) -> None:
        """An answer to it was refused."""
        _disarm(invocation)
        if invocation in self._states:
            self._states[invocation] = State.REFUSED

    def settle(self, invocation: Invocation) -> None:
        """It was answered, and its post work begins."""
        _disarm(invocation)
        self._states[invocation] = State.SETTLED

    def end(self, invocation: Invocation) -> None:
        """It is over."""
        _disarm(invocation)
        self._states.pop(invocation, None)

    def end_others(self, invocation: Invocation) -> None:
        """Where one runs at a time, the other unanswered ones are over: Lambda hands out the next event only then."""
        if len(self._states) == 1:
            return
        for each in self.unanswered():
            if each is not invocation:
                self.end(each)

    def find(self, request_id: str, invocation_id: str = "") -> Invocation | None:
        """The unanswered one with these ids; by the request id alone if the client did not send the other one."""
        same = [each for each in self.unanswered() if each.request_id == request_id]
        exact = (each for each in same if each.invocation_id == invocation_id)
        return next(exact, same[0] if same else None)

    def unanswered(self) -> list[Invocation]:
        """Those that the handler can still answer, the oldest first."""
        return self.in_state(State.IN_FLIGHT, State.REFUSED)

    def in_state(self, *states: State) -> list[Invocation]:
        """Those that are in one of these states, the oldest first."""
        if not self._states:  # as after most answers
            return []
        return [invocation for invocation, state in self._states.items() if state in states]

    def _drop_surplus(self) -> None:
        """Drop the oldest: refused ones beyond what Lambda runs at once, and any beyond the limit."""
        if len(self._states) <= self._at_once:
            return
        surplus = max(0, len(self.unanswered()) - self._at_once)
        for each in self.in_state(State.REFUSED)[:surplus]:
            self.end(each)
        surplus = max(0, len(self.unanswered()) - self.LIMIT)
        for each in self.unanswered()[:surplus]:
            self.end(each)


def _disarm(invocation: Invocation) -> None:
    """From here on the environment may be frozen, and clocks leap when it is thawed."""
    if invocation.disarm is not None:
        invocation.disarm()
        invocation.disarm = None


def _read_event_head(headers: Mapping[bytes, bytes], *, cold_start: bool) -> Invocation:
    deadline = headers.get(runtime_api.DEADLINE_MS, b"")
    return Invocation(
        request_id=runtime_api.read_text(headers.get(runtime_api.REQUEST_ID, b"")),
        invocation_id=runtime_api.read_text(headers.get(runtime_api.INVOCATION_ID, b"")),
        # A number of more digits is no time, and int() raises at 4,300 of them.
        deadline_ms=int(deadline) if deadline.isdigit() and len(deadline) <= _DEADLINE_DIGITS else None,
        function_arn=runtime_api.read_text(headers.get(runtime_api.FUNCTION_ARN, b"")),
        trace_id=runtime_api.read_text(headers.get(runtime_api.TRACE_ID, b"")),
        tenant_id=runtime_api.read_text(headers.get(runtime_api.TENANT_ID, b"")),
        cold_start=cold_start,
        handed_out_at=time.time(),
    )


@dataclass(frozen=True, slots=True)
class Budget:
    """How long the post work of an invocation may take.

    By the wall clock: the deadline comes as such a time, and whether the other clock runs on while an
    environment is frozen is disputed.
    """

    ends_at: float | None
    """Seconds since 1970; None: without bound."""
    bound_by: str
    """What set the end: `timeout`, `deadline`, or nothing."""

    def remaining(self, now: float) -> float | None:
        """Seconds left at `now`, never less than 0; None: without bound."""
        return None if self.ends_at is None else max(0.0, self.ends_at - now)


def budget_for(invocation: Invocation, settings: Settings, now: float) -> Budget:
    """The budget of post work that starts at `now` (seconds since 1970).

    The margin is kept before the function's own deadline, for past it Lambda counts the invocation as timed
    out and resets the environment, although the caller has its answer. A command that has to be stopped gets its
    grace inside the margin, so the margin is never less than that.
    """
    ends: list[tuple[float, str]] = []
    if settings.timeout is not None:
        ends.append((now + settings.timeout, "timeout"))
    if invocation.deadline_ms is not None:
        ends.append((invocation.deadline_ms / 1000 - max(settings.margin, settings.grace), "deadline"))
    return Budget(*min(ends)) if ends else Budget(None, "")


def command_environment(
    handler_environment: Mapping[str, str],
    settled: Settled,
    remaining: float | None,
    files: Mapping[str, str],
    reason: str = "",
) -> dict[str, str]:
    """The handler's environment and, on top, what the command may want to know. Unknown things are left out.

    `remaining` is in seconds; `files` has the captured files' paths by name, `reason` why a fallback command
    runs. An unknown thing is taken out even if the handler's environment has such a variable, or the command would
    take a stranger's value for its own. One that is too long for a variable is cut.
    """
    invocation = settled.invocation
    values = {
        "REQUEST_ID": invocation.request_id,
        "OUTCOME": settled.outcome.value,
        "ERROR_TYPE": settled.error_type,
        "FUNCTION_ARN": invocation.function_arn,
        "DEADLINE_MS": "" if invocation.deadline_ms is None else str(invocation.deadline_ms),
        "REMAINING_MS": "" if remaining is None else str(int(remaining * 1000)),
        "TENANT_ID": invocation.tenant_id,
        "COLD_START": "true" if invocation.cold_start else "false",
        "EVENT_FILE": files.get("event", ""),
        "RESPONSE_FILE": files.get("response", ""),
        "FALLBACK_REASON": reason,
    }
    added = {PREFIX + name: value for name, value in values.items()}
    added[runtime_api.TRACE_VARIABLE] = invocation.trace_id
    environment = {name: value for name, value in handler_environment.items() if name not in added}
    environment.update((name, _as_utf_8(value)) for name, value in added.items() if value)
    return environment


def _as_utf_8(text: str) -> str:
    """The text that the process's locale, whichever it is, encodes to the UTF-8 of `text`, as far as it fits."""
    if text.isascii() and len(text) <= _LONGEST_VALUE:
        return text
    encoded = text.encode(errors="surrogateescape")
    if len(encoded) > _LONGEST_VALUE:
        encoded = encoded[:_LONGEST_VALUE].decode(errors="ignore").encode()  # no half a character at the end
    return os.fsdecode(encoded)
