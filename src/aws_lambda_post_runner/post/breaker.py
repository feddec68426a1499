"""The circuit breaker: after so many failures in a row, post commands are skipped for a while, then one is tried.

A sink that hangs holds every environment until its budget is used up, invocation after invocation; the breaker
bounds that. Pure: no IO, no timer. It is asked when there is a command to run, and compares times by the wall
clock: an environment that was frozen meanwhile is to try again when it is thawed, not later.
"""

from enum import Enum, auto


class Ticket(Enum):
    """What a command was let through as. It is shown again when the command is judged."""

    ORDINARY = auto()
    TRIAL = auto()
    """The one that is tried after a pause."""


class Change(Enum):
    """What a judgement has changed."""

    OPENED = auto()
    """From now on commands are skipped."""
    STAYED_OPEN = auto()
    """The one that was tried failed as well: another pause begins."""
    CLOSED = auto()
    """The one that was tried succeeded: commands run again."""


class Breaker:
    """Opens after `failures` in a row, for `pause` seconds at a time. Times are in seconds since 1970."""

    def __init__(self, failures: int, pause: float) -> None:
        self._failures = failures
        self._pause = pause
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._is_trying = False
        self.skipped = 0
        """How many were skipped since it opened last, trials that failed in between included."""

    def admit(self, now: float) -> Ticket | None:
        """Let a command run, or not; None: skip it. Whoever has a ticket has to call `judge` or `give_back`."""
        if self._opened_at is None:
            return Ticket.ORDINARY
        # A clock that was set back must not make the pause longer.
        self._opened_at = min(self._opened_at, now)
        if self._is_trying or now < self._opened_at + self._pause:
            self.skipped += 1
            return None
        self._is_trying = True
        return Ticket.TRIAL

    def judge(self, ticket: Ticket, *, succeeded: bool, now: float) -> Change | None:
        """Take note of how a command ended, and tell what that has changed."""
        match ticket, succeeded:
            case Ticket.TRIAL, True:
                self._is_trying, self._opened_at, self._in_a_row = False, None, 0
                return Change.CLOSED
            case Ticket.TRIAL, False:
                self._is_trying, self._opened_at = False, now
                return Change.STAYED_OPEN
            case Ticket.ORDINARY, True:
                self._in_a_row = 0
            case _:
                self._in_a_row += 1
        # Several run at once on Managed Instances: one that began before it opened can end after that.
        if self._opened_at is not None or self._in_a_row < self._failures:
            return None
        self._opened_at, self.skipped = now, 0
        return Change.OPENED

    def give_back(self, ticket: Ticket) -> None:
        """The command cannot be judged: it never ran, or was cut off by no fault of its own."""
        if ticket is Ticket.TRIAL:
            self._is_trying = False
