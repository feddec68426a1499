"""The post work under way: it begins when an invocation is settled, and the next poll waits here until it is done.

Post work is the post command and whatever the handler has asked us to wait for. How a command is run is not
known here.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from aws_lambda_post_runner.invocation import (
    Budget,
    Invocation,
    Invocations,
    Outcome,
    Settled,
    Wait,
    WaitsEnding,
    budget_for,
)
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Mode, Settings

from .account import Account, Keep, Trace
from .attempts import Course
from .cutting import Cutting
from .retry import Loss

RunCommand = Callable[[Settled, Budget, Cutting], Awaitable[Course]]
"""Sees the command of a settled invocation through, until it has ended, its budget is used up or it is cut off."""

Settle = Callable[[float], Awaitable[bool]]
"""Waits until the handler has settled, at most so many seconds; tells whether it has."""

_LAST_SPAN = 0.5
"""Seconds that a span has after a signal, however long its receiver may take otherwise."""


@dataclass(slots=True, eq=False)
class _Work:
    """The post work of one invocation."""

    cutting: Cutting = field(default_factory=Cutting)
    began: float = field(default_factory=time.time)
    """When the answer was taken, in seconds since 1970."""
    course: Course | None = None
    """What became of its command."""
    left_behind: tuple[Wait, ...] = ()
    """What could not be waited for any more, because the handler itself had gone."""
    waits: WaitsEnding | None = None
    """How its waits ended; None if there were none."""


class PostWork:
    """All post work of this execution environment. Its tasks live in `nursery`, which the supervisor owns."""

    def __init__(
        self,
        nursery: trio.Nursery,
        invocations: Invocations,
        run_command: RunCommand,
        settings: Settings,
        report: Report,
    ) -> None:
        self._nursery = nursery
        self._invocations = invocations
        self._run_command = run_command
        self._settings = settings
        self._report = report
        self._under_way: dict[Settled, _Work] = {}
        self._progress = trio.lowlevel.ParkingLot()
        self._held_since: list[float] = []
        self._keep: Keep | None = None
        self._trace: Trace | None = None
        self._settle: Settle | None = None
        self._is_shut_down = False
        self._places = trio.CapacityLimiter(settings.max_concurrency or 1)
        # On Managed Instances nothing is ever frozen, and a poll that is held is a worker that is missing.
        self._holds = settings.max_concurrency is None

    def keep_accounts(self, keep: Keep) -> None:
        """From now on give it an account of each invocation that is over, with or without post work."""
        self._keep = keep

    def trace_with(self, trace: Trace) -> None:
        """From now on let it have an account of all post work that has ended. Polls are held until it returns."""
        self._trace = trace

    def settle_with(self, settle: Settle) -> None:
        """From now on each answer is followed by a settling time, where something would be frozen after it."""
        if self._holds:
            self._settle = settle

    @property
    def holding(self) -> bool:
        """Whether a poll has to wait."""
        return self._holds and bool(self._under_way)

    @property
    def may_run_commands(self) -> bool:
        """Whether there is an outcome after which a command runs."""
        return not self._settings.modes <= {Mode.WAIT_UNTIL, Mode.BEFORE_TIMEOUT}

    @property
    def when_none_runs(self) -> str:
        """Say which mode it is in which no command would get the handler's work."""
        if Mode.BEFORE_TIMEOUT in self._settings.modes:
            return "after the answer in mode BeforeTimeout"
        return "in mode WaitUntil"

    def handed_out(self, invocation: Invocation) -> None:
        """The handler has got an event. While it works on it we are not frozen, and its deadline can be watched."""
        if Mode.BEFORE_TIMEOUT not in self._settings.modes or invocation.deadline_ms is None:
            return
        if invocation.disarm is None:  # a client that polls without having answered gets the same event again
            watching = trio.CancelScope()
            invocation.disarm = watching.cancel
            self._nursery.start_soon(self._run_before_timeout, invocation, invocation.deadline_ms, watching)

    def begin(self, settled: Settled) -> None:
        """Begin the post work of an invocation, if it has any. From here on polls are held."""
        if not self._wants_command(settled) and not settled.invocation.waits and not self._settle:
            self._invocations.end(settled.invocation)
            if self._keep is not None:
                self._tell_keeper(self._keep, settled, _Work())
            return
        self._invocations.settle(settled.invocation)
        work = self._under_way[settled] = _Work()
        if self._is_shut_down:
            work.cutting.cut()
        self._nursery.start_soon(self._see_through, settled, work)

    async def hold(self) -> None:
        """Return when no poll has to wait any more."""
        since = time.time()
        self._held_since.append(since)
        try:
            while self.holding:
                await self._progress.park()
        finally:
            self._held_since.remove(since)

    async def finish(self) -> None:
        """Return when no post work is under way. What the handler asked to wait for is over: it is gone."""
        for settled, work in self._under_way.items():
            if settled.outcome is Outcome.TIMEOUT:
                continue  # what it waits for is waited for after the answer
            work.left_behind = tuple(settled.invocation.waits.values())
            settled.invocation.waits.clear()
        self._progress.unpark_all()
        while self._under_way:
            await self._progress.park()

    def cut(self) -> None:
        """Cut off what is under way now: each command gets SIGTERM and its grace. What begins later is not touched."""
        for work in self._under_way.values():
            work.cutting.cut()

    def shut_down(self) -> None:
        """Cut off what is under way now, and whatever begins later."""
        self._is_shut_down = True
        self.cut()

    def begin_wait(self, invocation: Invocation, token: str, name: str) -> None:
        """The handler asks us to wait for something; it will name it by `token` when it has ended."""
        wait = invocation.waits[token] = Wait(name, time.time())
        invocation.waits_begun += 1
        self._report.wait_begun(invocation, wait)

    def end_wait(self, invocation: Invocation, token: str) -> None:
        """What the handler asked us to wait for has ended."""
        wait = invocation.waits.pop(token)
        self._report.wait_ended(invocation, wait)
        self._progress.unpark_all()

    def _wants_command(self, settled: Settled) -> bool:
        modes = self._settings.modes
        if Mode.ON_REQUEST in modes and settled.invocation.work:
            return True
        return (Mode.AFTER_RESPONSE if settled.outcome is Outcome.RESPONSE else Mode.AFTER_ERROR) in modes

    async def _see_through(self, settled: Settled, work: _Work) -> None:
        try:
            await self._see_command_end(settled, work)
            if settled.invocation.waits_begun:
                await self._see_waits_end(settled, work)
            if self._settle is not None:
                await self._see_it_settle(self._settle, settled, work)
            if self._trace is not None:
                # What was cut off is told, too; a receiver that hangs must not keep us after a signal.
                with work.cutting.last_scope(_LAST_SPAN):
                    await self._trace(self._account_of(settled, work))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no concern of the relay's or the handler's
            work.course = Course(self._report.post_work_failed(settled, error), loss=Loss.FAILED)
        finally:
            del self._under_way[settled]
            self._invocations.end(settled.invocation)
            if self._keep is not None:
                self._tell_keeper(self._keep, settled, work)
            self._progress.unpark_all()

    async def _run_before_timeout(
        self, invocation: Invocation, deadline_ms: int, watching: trio.CancelScope
    ) -> None:
        """Run the command a margin before the function is killed, unless the handler has answered by then.

        It has until its grace before that: what says how it ended has to be written before all is killed.
        """
        budget = Budget(deadline_ms / 1000 - self._settings.grace, "deadline")
        with watching:
            await trio.sleep(max(0.0, deadline_ms / 1000 - self._settings.margin - time.time()))
        if watching.cancelled_caught or self._is_shut_down:
            return
        settled = Settled(invocation, Outcome.TIMEOUT, "")
        work = self._under_way[settled] = _Work()
        try:
            await self._run_command(settled, budget, work.cutting)
        except Exception as error:  # noqa: BLE001 - as above
            self._report.post_work_failed(settled, error)
        finally:
            del self._under_way[settled]
            self._progress.unpark_all()

    async def _see_command_end(self, settled: Settled, work: _Work) -> None:
        if not self._wants_command(settled):
            return
        async with self._places:
            # What it has waited for its place, on Managed Instances, is none of its own time.
            budget = budget_for(settled.invocation, self._settings, time.time())
            work.course = await self._run_command(settled, budget, work.cutting)

    async def _see_waits_end(self, settled: Settled, work: _Work) -> None:
        began = time.time()
        budget = budget_for(settled.invocation, self._settings, work.began)
        waits = settled.invocation.waits
        scope = work.cutting.next_scope()
        remaining = budget.remaining(began)
        if remaining is not None:
            scope.deadline = trio.current_time() + remaining
        with scope:
            while waits:
                await self._progress.park()
        expired, cut_off_by = work.left_behind, "exit" if work.left_behind else ""
        if waits:
            expired = tuple(waits.values())
            cut_off_by = "shutdown" if work.cutting.is_cut else budget.bound_by
            waits.clear()
        duration_ms = int((time.time() - began) * 1000)
        work.waits = WaitsEnding(settled.invocation.waits_begun, expired, duration_ms, cut_off_by)
        self._report.waits_ended(settled, work.waits)

    async def _see_it_settle(self, settle: Settle, settled: Settled, work: _Work) -> None:
        """Hold the poll for what is left of the settling time, which began with the answer."""
        ends_at = work.began + (self._settings.settle or 0.0)
        budget_ends_at = budget_for(settled.invocation, self._settings, work.began).ends_at
        left = min(ends_at, ends_at if budget_ends_at is None else budget_ends_at) - time.time()
        if left <= 0:
            return
        with work.cutting.next_scope():
            quiet = await settle(left)
            self._report.observe("settled-down", requestId=settled.invocation.request_id, quiet=quiet)

    def _tell_keeper(self, keep: Keep, settled: Settled, work: _Work) -> None:
        try:
            keep(self._account_of(settled, work))
        except Exception as error:  # noqa: BLE001 - as above
            self._report.post_work_failed(settled, error)

    def _account_of(self, settled: Settled, work: _Work) -> Account:
        """What post work that ends now has come to, or that there was none."""
        now = time.time()
        return Account(
            settled=settled,
            settled_at=work.began,
            ended_at=now,
            course=work.course,
            # Several may be held; the first has been held for the longest.
            held=now - max(work.began, min(self._held_since)) if self._held_since else 0.0,
            waits=work.waits,
            budget_left=budget_for(settled.invocation, self._settings, work.began).remaining(now),
        )
