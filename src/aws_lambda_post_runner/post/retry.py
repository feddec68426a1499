"""What is tried again, when, and what is handed to the fallback command: the rules, without doing any of it. Pure."""

from enum import Enum

from aws_lambda_post_runner.invocation import Budget, Ending

_FIRST_DELAY = 0.1
"""Seconds before the first retry, doubled before each that follows."""
_LONGEST_DELAY = 5.0
"""Seconds. The caller has its answer, but the environment is held, and paid for, all the while."""


class Loss(Enum):
    """Why a piece of work counts as lost; the fallback command is told."""

    FAILED = "failed"
    CUT_OFF = "cut-off"
    SKIPPED = "skipped"


def loss_of(ending: Ending) -> Loss | None:
    """Tell whether a command that ended so has lost its work, and why.

    One that was cut off has, whatever its status: many a program ends with 0 when it is told to end.
    """
    if ending.cut_off_by:
        return Loss.CUT_OFF
    return None if ending.succeeded else Loss.FAILED


def can_be_retried(ending: Ending) -> bool:
    """Tell whether it may go better another time: not if it cannot even be started, nor when its time is over."""
    return loss_of(ending) is Loss.FAILED and not ending.problem


def delay_before(retry: int, spread: float) -> float:
    """Seconds to wait before the nth retry, n being 1 or more.

    `spread` is a random number from 0 to 1: environments that have failed together must not come again together.
    """
    # Above the 20th doubling it is the longest delay in any case, and 2.0 ** 1024 overflows.
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(retry - 1, 20))
    return longest * (0.5 + 0.5 * spread)


def without_reserve(budget: Budget, reserve: float, now: float) -> Budget:
    """The part of the budget that the command has, where `reserve` seconds are kept for the fallback command.

    The reserve is at most half of what is left, or a function with a short timeout would never run its command.
    """
    remaining = budget.remaining(now)
    if budget.ends_at is None or remaining is None:
        return budget
    return Budget(budget.ends_at - min(reserve, remaining / 2), budget.bound_by)


def within(seconds: float, bound_by: str, budget: Budget, now: float) -> Budget:
    """The budget, or what ends so many seconds from `now` if that is sooner."""
    ends_at = now + seconds
    return budget if budget.ends_at is not None and budget.ends_at < ends_at else Budget(ends_at, bound_by)
