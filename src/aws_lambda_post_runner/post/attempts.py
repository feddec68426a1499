"""What becomes of an invocation's post command: skipped, tried, tried again, or replaced by the fallback command.

The rules are in `breaker` and `retry`, how a command is run is in `command`; here is their order.
"""

import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace

import trio

from aws_lambda_post_runner.invocation import Budget, Ending, Outcome, Settled
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Settings

from .breaker import Breaker, Change, Ticket
from .capture import Pieces
from .cutting import Cutting
from .retry import Loss, can_be_retried, delay_before, loss_of, within, without_reserve

_SKIPPED = Ending(problem="it is skipped, because it failed so often before")


@dataclass(frozen=True, slots=True)
class Order:
    """A command that is to be run, and what it gets."""

    command: str
    settled: Settled
    captured: MutableMapping[str, Pieces | None]
    """What it gets as files. Nothing is left in it afterwards."""
    reason: Loss | None = None
    """Why a fallback command runs; None: it is none."""

    @property
    def name(self) -> str:
        """What it is called in what we say."""
        return "post-command" if self.reason is None else "fallback-command"


RunOrder = Callable[[Order, Budget, trio.CancelScope], Awaitable[Ending]]
"""Runs a command until it ends, its budget is used up or the scope is cancelled."""


@dataclass(frozen=True, slots=True)
class Course:
    """What became of an invocation's post command, and of its work."""

    ending: Ending
    """Of the last try; one that was skipped was not started."""
    retries: int = 0
    loss: Loss | None = None
    """Why its work was lost, but for the fallback command; None if it was done."""
    fallback: Ending | None = None
    """How the fallback command ended; None if none ran."""

    @property
    def spilled(self) -> bool:
        """Whether the fallback command has kept what was lost."""
        return self.fallback is not None and loss_of(self.fallback) is None


class Attempts:
    """Sees the post command of each invocation through. One for the execution environment: the breaker remembers."""

    def __init__(self, settings: Settings, run: RunOrder, report: Report) -> None:
        self._settings = settings
        self._run = run
        self._report = report
        self._breaker = None if settings.breaker is None else Breaker(*settings.breaker)
        self._runs_once = not settings.retries and not settings.fallback_command

    async def see_through(self, settled: Settled, budget: Budget, cutting: Cutting) -> Course:
        """Return when nothing more is done for this invocation's post command. All of it has to fit into `budget`."""
        if settled.outcome is Outcome.TIMEOUT:
            return await self._run_before_timeout(settled, budget, cutting)
        try:
            course = await self._try_unless_skipped(settled, budget, cutting)
        except Exception as error:  # noqa: BLE001 - whatever kept the command from its work, the work is to be kept
            course = Course(self._report.post_work_failed(settled, error), loss=Loss.FAILED)
        if course.loss is None or not self._settings.fallback_command:
            return course
        return replace(course, fallback=await self._fall_back(settled, course, budget, cutting))

    async def _run_before_timeout(self, settled: Settled, budget: Budget, cutting: Cutting) -> Course:
        """Once, for there is no time for more, and it says nothing of what comes after an answer."""
        captured = (
            settled.invocation.captured.copy()
        )  # what comes after the answer, if one comes, needs it as well
        order = Order(self._settings.command, settled, captured)
        ending = await self._run(order, budget, cutting.next_scope())
        self._report.command_ended(settled, ending)
        return Course(ending, loss=loss_of(ending))

    async def _try_unless_skipped(self, settled: Settled, budget: Budget, cutting: Cutting) -> Course:
        if self._breaker is None:
            return await self._try(settled, budget, cutting)
        ticket = self._breaker.admit(time.time())
        if ticket is None:
            self._report.command_skipped(settled, _SKIPPED)
            return Course(_SKIPPED, loss=Loss.SKIPPED)
        try:
            course = await self._try(settled, budget, cutting)
        except BaseException:
            self._breaker.give_back(ticket)
            raise
        self._judge(self._breaker, ticket, settled, course.ending)
        return course

    def _judge(self, breaker: Breaker, ticket: Ticket, settled: Settled, ending: Ending) -> None:
        if ending.cut_off_by == "shutdown" or (ending.cut_off_by and ending.problem):
            breaker.give_back(ticket)  # it was told to end, or had no time to begin: that says nothing of it
            return
        skipped = breaker.skipped
        match breaker.judge(ticket, succeeded=loss_of(ending) is None, now=time.time()):
            case Change.OPENED if self._settings.breaker is not None:
                self._report.breaker_opened(settled, *self._settings.breaker)
            case Change.CLOSED:
                self._report.breaker_closed(settled, skipped)

    async def _try(self, settled: Settled, budget: Budget, cutting: Cutting) -> Course:
        if self._settings.fallback_command:
            # A command that does not heed SIGTERM takes its grace, and not out of what is kept for the other one.
            reserve = self._settings.fallback_reserve + self._settings.grace
            budget = without_reserve(budget, reserve, time.time())
        retries = 0
        ending = await self._run(self._order(settled), budget, cutting.next_scope())
        while retries < self._settings.retries and can_be_retried(ending):
            delay = delay_before(retries + 1, _spread())
            remaining = budget.remaining(time.time())
            if remaining is not None and remaining <= delay:
                break
            self._report.command_is_tried_again(settled, ending, retries + 1, delay)
            with cutting.next_scope() as pause:
                await trio.sleep(delay)
            if pause.cancelled_caught:
                break
            retries += 1
            ending = await self._run(self._order(settled), budget, cutting.next_scope())
        self._report.command_ended(settled, ending, retries)
        return Course(ending, retries, loss_of(ending))

    async def _fall_back(self, settled: Settled, course: Course, budget: Budget, cutting: Cutting) -> Ending:
        reserve = self._settings.fallback_reserve
        if cutting.is_cut:  # perhaps in the pause between two tries, so the command's ending does not tell
            budget = within(reserve, "shutdown", budget, time.time())
        captured = settled.invocation.captured
        order = Order(self._settings.fallback_command, settled, captured, course.loss)
        ending = await self._run(order, budget, cutting.last_scope(reserve))
        self._report.fallback_ended(settled, ending, "" if course.loss is None else course.loss.value)
        return ending

    def _order(self, settled: Settled) -> Order:
        """One run of the post command. If it may not be the last, what was captured is left for the next one as it was.

        A command may change or remove its files.
        """
        captured = settled.invocation.captured
        return Order(self._settings.command, settled, captured if self._runs_once else captured.copy())


def _spread() -> float:
    """A random number from 0 to 1. Not the module `random`'s: environments may begin with the same state of it."""
    return int.from_bytes(os.urandom(2), "big") / 0xFFFF
