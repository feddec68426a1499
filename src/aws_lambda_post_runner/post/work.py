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

from .account import Account, Keep

RunCommand = Callable[[Settled, Budget, trio.CancelScope], Awaitable[Ending]]
"""Runs the command for a settled invocation until it ends, its budget is used up or the scope is cancelled."""

Settle = Callable[[float], Awaitable[bool]]
"""Waits until the handler has settled, at most so many seconds; tells whether it has."""


@dataclass(slots=True, eq=False)
class _Work:
    """The post work of one invocation."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Of what is done now: first the command, then the waits."""
    is_cut: bool = False
    """Whether it has to end because of a signal."""
    began: float = field(default_factory=time.time)
    """When the answer was taken, in seconds since 1970."""
    ending: Ending | None = None
    """How its command ended."""
    waited: float = 0.0
    """Seconds from the end of its command to the end of its waits."""
    expired: int = 0
    """How many of its waits had to be given up."""

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
        self._held_since: list[float] = []
        self._keepers: list[Keep] = []
        self._settle: Settle | None = None
        self._is_shut_down = False
        self._places = trio.CapacityLimiter(settings.max_concurrency or 1)
        # On Managed Instances nothing is ever frozen, and a poll that is held is a worker that is missing.
        self._holds = settings.max_concurrency is None

    def keep_accounts(self, keep: Keep) -> None:
        """From now on give it an account of each invocation that is over, with or without post work."""
        self._keepers.append(keep)

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
        return self._settings.modes != {Mode.WAIT_UNTIL}

    def begin(self, settled: Settled) -> None:
        """Begin the post work of an invocation, if it has any. From here on polls are held."""
        if not self._wants_command(settled) and not settled.invocation.waits and not self._settle:
            self._invocations.end(settled.invocation)
            if self._keepers:
                self._account_for(settled, _Work())
            return
        self._invocations.settle(settled.invocation)
        work = self._under_way[settled] = _Work()
        if self._is_shut_down:
            work.cut()
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
            self._give_up_waits(settled, work, "exit")
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
        try:
            await self._see_command_end(settled, work)
            if settled.invocation.waited_for:
                await self._see_waits_end(settled, work)
            if self._settle is not None:
                await self._see_it_settle(self._settle, settled, work)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no concern of the relay's or the handler's
            work.ending = self._report.post_work_failed(settled, error)
        finally:
            del self._under_way[settled]
            self._invocations.end(settled.invocation)
            self._account_for(settled, work)
            self._progress.unpark_all()

    async def _see_command_end(self, settled: Settled, work: _Work) -> None:
        if not self._wants_command(settled):
            return
        async with self._places:
            # What it has waited for its place, on Managed Instances, is none of its own time.
            budget = budget_for(settled.invocation, self._settings, time.time())
            work.ending = await self._run_command(settled, budget, work.scope)
        self._report.command_ended(settled, work.ending)

    async def _see_waits_end(self, settled: Settled, work: _Work) -> None:
        began = time.time()
        budget = budget_for(settled.invocation, self._settings, work.began)
        waits = settled.invocation.waits
        work.scope = trio.CancelScope()
        remaining = 0.0 if work.is_cut else budget.remaining(began)
        if remaining is not None:
            work.scope.deadline = trio.current_time() + remaining
        with work.scope:
            while waits:
                await self._progress.park()
        work.waited = time.time() - began
        self._give_up_waits(settled, work, "shutdown" if work.is_cut else budget.bound_by)
        self._report.observe("waits-ended", requestId=settled.invocation.request_id, expired=work.expired)

    async def _see_it_settle(self, settle: Settle, settled: Settled, work: _Work) -> None:
        """Hold the poll for what is left of the settling time, which began with the answer."""
        now = time.time()
        ends_at = work.began + (self._settings.settle or 0.0)
        budget_ends_at = budget_for(settled.invocation, self._settings, work.began).ends_at
        left = min(ends_at, ends_at if budget_ends_at is None else budget_ends_at) - now
        if work.is_cut or left <= 0:
            return
        work.scope = trio.CancelScope()
        with work.scope:
            quiet = await settle(left)
            self._report.observe("settled-down", requestId=settled.invocation.request_id, quiet=quiet)

    def _account_for(self, settled: Settled, work: _Work) -> None:
        """Give whoever wants it an account of post work that has ended, or that there was none."""
        if not self._keepers:
            return
        now = time.time()
        account = Account(
            settled=settled,
            settled_at=work.began,
            ended_at=now,
            ending=work.ending,
            # Several may be held; the first has been held for the longest.
            held=now - max(work.began, min(self._held_since)) if self._held_since else 0.0,
            waited=work.waited,
            waits_expired=work.expired,
            budget_left=budget_for(settled.invocation, self._settings, work.began).remaining(now),
        )
        for keep in self._keepers:
            try:
                keep(account)
            except Exception as error:  # noqa: BLE001 - as above
                self._report.post_work_failed(settled, error)

    def _give_up_waits(self, settled: Settled, work: _Work, cut_off_by: str) -> None:
        waits = settled.invocation.waits
        if waits:
            work.expired = len(waits)
            self._report.waits_cut_off(settled, len(waits), cut_off_by)
            waits.clear()
