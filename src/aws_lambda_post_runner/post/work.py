"""The post work under way: it begins when an invocation is settled, and the next poll waits here until it is done.

Post work is the post command and whatever the handler has asked us to wait for. How a command is run is not
known here.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from aws_lambda_post_runner.invocation import Budget, Ending, Invocations, Outcome, Settled, budget_for
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Mode, Settings

RunCommand = Callable[[Settled, Budget, trio.CancelScope], Awaitable[Ending]]
"""Runs the command for a settled invocation until it ends, its budget is used up or the scope is cancelled."""


@dataclass(slots=True, eq=False)
class _Work:
    """The post work of one invocation."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Of what is done now: first the command, then the waits."""
    is_cut: bool = False
    """Whether it has to end because of a signal."""

    def cut(self) -> None:
        self.is_cut = True
        self.scope.cancel()


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
        self._is_shut_down = False
        self._places = trio.CapacityLimiter(settings.max_concurrency or 1)
        # On Managed Instances nothing is ever frozen, and a poll that is held is a worker that is missing.
        self._holds = settings.max_concurrency is None

    @property
    def holding(self) -> bool:
        """Whether a poll has to wait."""
        return self._holds and bool(self._under_way)

    @property
    def may_run_commands(self) -> bool:
        """Whether there is an outcome after which a command runs."""
        return self._settings.modes != {Mode.WAIT_UNTIL}

    def begin(self, settled: Settled) -> None:
        """Begin the post work of an invocation, if it has any. From here on polls are held."""
        if not self._wants_command(settled) and not settled.invocation.waits:
            self._invocations.end(settled.invocation)
            return
        self._invocations.settle(settled.invocation)
        work = self._under_way[settled] = _Work()
        if self._is_shut_down:
            work.cut()
        self._nursery.start_soon(self._see_through, settled, work)

    async def hold(self) -> None:
        """Return when no poll has to wait any more."""
        while self.holding:
            await self._progress.park()

    async def finish(self) -> None:
        """Return when no post work is under way. What the handler asked to wait for is over: it is gone."""
        for settled in self._under_way:
            self._give_up_waits(settled, "exit")
        self.waits_changed()
        while self._under_way:
            await self._progress.park()

    def cut(self) -> None:
        """Cut off what is under way now: each command gets SIGTERM and its grace. What begins later is not touched."""
        for work in self._under_way.values():
            work.cut()

    def shut_down(self) -> None:
        """Cut off what is under way now, and whatever begins later."""
        self._is_shut_down = True
        self.cut()

    def waits_changed(self) -> None:
        """Something that the handler asked to wait for has ended; look again who still waits."""
        self._progress.unpark_all()

    def _wants_command(self, settled: Settled) -> bool:
        modes = self._settings.modes
        if Mode.ON_REQUEST in modes and settled.invocation.work:
            return True
        return (Mode.AFTER_RESPONSE if settled.outcome is Outcome.RESPONSE else Mode.AFTER_ERROR) in modes

    async def _see_through(self, settled: Settled, work: _Work) -> None:
        settled_at = time.time()
        try:
            if self._wants_command(settled):
                async with self._places:
                    # What it has waited for its place, on Managed Instances, is none of its own time.
                    budget = budget_for(settled.invocation, self._settings, time.time())
                    ending = await self._run_command(settled, budget, work.scope)
                self._report.command_ended(settled, ending)
            if settled.invocation.waited_for:
                budget = budget_for(settled.invocation, self._settings, settled_at)
                await self._see_waits_end(settled, work, budget)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no concern of the relay's or the handler's
            self._report.post_work_failed(settled, error)
        finally:
            del self._under_way[settled]
            self._invocations.end(settled.invocation)
            self._progress.unpark_all()

    async def _see_waits_end(self, settled: Settled, work: _Work, budget: Budget) -> None:
        waits = settled.invocation.waits
        work.scope = trio.CancelScope()
        remaining = 0.0 if work.is_cut else budget.remaining(time.time())
        if remaining is not None:
            work.scope.deadline = trio.current_time() + remaining
        with work.scope:
            while waits:
                await self._progress.park()
        expired = len(waits)
        self._give_up_waits(settled, "shutdown" if work.is_cut else budget.bound_by)
        self._report.observe("waits-ended", requestId=settled.invocation.request_id, expired=expired)

    def _give_up_waits(self, settled: Settled, cut_off_by: str) -> None:
        waits = settled.invocation.waits
        if waits:
            self._report.waits_cut_off(settled, len(waits), cut_off_by)
            waits.clear()
