"""How a post command is started, stopped and judged.

It gets a session of its own, so that it can be stopped with all that it has started.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from signal import SIGKILL, SIGTERM

import trio

from aws_lambda_post_runner.exits import no_thread_is_no_process, why_not_started
from aws_lambda_post_runner.invocation import Budget, Ending, command_environment
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import PREFIX, Settings

from .attempts import Order
from .capture import captured_files
from .session import Session
from .stdin import standard_input

_MARK = PREFIX + "MARK"
"""The variable that tells what a command has started, and that has started, from everything else."""
_LOOK_AGAIN = 0.005
"""Seconds between two looks whether all of a command is gone."""
_DEATH = 1.0
"""Seconds in which what got SIGKILL is gone, but for what the kernel keeps in a system call; that is not waited for."""


class CommandRunner:
    """Runs commands: `SHELL -c COMMAND`, with `environment` (the handler's) and what the invocation adds."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], report: Report) -> None:
        self._settings = settings
        self._environment = environment
        self._report = report

    async def run(self, order: Order, budget: Budget, scope: trio.CancelScope) -> Ending:
        """Run the command and return when it has ended, its budget is used up or `scope` was cancelled.

        Of a command that had to be stopped, and of all in its session, nothing is left on return. What a command
        leaves behind that ends by itself is left alone and not waited for.
        """
        remaining = budget.remaining(time.time())
        if remaining == 0:
            return Ending(
                problem=f"no time was left before the {budget.bound_by}", cut_off_by=budget.bound_by
            )
        ends_at = math.inf if remaining is None else trio.current_time() + remaining
        scope.deadline = ends_at
        captured, work = order.captured, order.settled.invocation.work
        mark = os.urandom(8).hex()
        beginning = _Beginning(partial(self._tell_of_start, order))
        stopping = _Stopping(self._settings.grace, f"{_MARK}={mark}")
        problem = ""
        began = time.monotonic()
        try:
            with (
                captured_files(captured) as files,
                standard_input(work) as stdin,
                scope,
                no_thread_is_no_process(),
            ):
                await trio.run_process(
                    [self._settings.shell, "-c", order.command],
                    env={**self._environment_for(order, remaining, files), _MARK: mark},
                    stdin=stdin,
                    check=False,
                    start_new_session=True,
                    deliver_cancel=stopping.stop,
                    task_status=beginning,
                )
        except* OSError as errors:
            problem = why_not_started(_first(errors), self._settings.shell)[0]
        process = beginning.process
        cut_off_by = ""
        if scope.cancelled_caught:
            await stopping.stop_rest()
            cut_off_by = budget.bound_by if trio.current_time() >= ends_at else "shutdown"
            problem = "" if process else f"the {cut_off_by} came first"
        status = None if process is None else process.returncode
        if status is None:
            return Ending(problem=problem, cut_off_by=cut_off_by)
        return Ending(
            exit_status=status if status >= 0 else None,
            signal=-status if status < 0 else None,
            duration_ms=int((time.monotonic() - began) * 1000),
            cut_off_by=cut_off_by,
            not_captured=tuple(name for name in captured if name not in files),
        )

    def _environment_for(
        self, order: Order, remaining: float | None, files: Mapping[str, str]
    ) -> dict[str, str]:
        reason = "" if order.reason is None else order.reason.value
        return command_environment(self._environment, order.settled, remaining, files, reason)

    def _tell_of_start(self, order: Order, process: trio.Process) -> None:
        if self._report.observed:
            self._report.observe(
                f"{order.name}-started",
                requestId=order.settled.invocation.request_id,
                outcome=order.settled.outcome.value,
                pid=process.pid,
            )


class _Beginning(trio.TaskStatus[trio.Process]):
    """Is told by `trio.run_process` that the command has been started.

    A nursery's `start` would tell as well, at the price of two more nurseries for each command.
    """

    def __init__(self, tell: Callable[[trio.Process], None]) -> None:
        self._tell = tell
        self.process: trio.Process | None = None
        """The command, once it has been started."""

    def started(self, value: trio.Process | None = None) -> None:
        self.process = value
        if value is not None:
            self._tell(value)


class _Stopping:
    """How one command is stopped, if it has to be."""

    def __init__(self, grace: float, mark: str) -> None:
        self._grace = grace
        self._mark = mark
        self._session: Session | None = None
        self._kill_at = 0.0

    async def stop(self, process: trio.Process) -> None:
        """SIGTERM to all, SIGKILL after the grace. Cancelled as soon as the command itself has ended."""
        self._session = Session(process.pid, self._mark)
        self._kill_at = trio.current_time() + self._grace
        self._session.signal(SIGTERM)
        await trio.sleep(self._grace)
        self._session.signal(SIGKILL)

    async def stop_rest(self) -> None:
        """The command itself has ended; see that all else that it has made ends, with the same grace."""
        if self._session is None:
            return
        give_up_at = self._kill_at + _DEATH
        with trio.CancelScope(shield=True):
            while self._session.signal(0) and trio.current_time() < self._kill_at:  # noqa: ASYNC110 - no event tells
                await trio.sleep(_LOOK_AGAIN)
            while self._session.signal(SIGKILL) and trio.current_time() < give_up_at:  # noqa: ASYNC110 - likewise
                await trio.sleep(_LOOK_AGAIN)


def _first(errors: BaseExceptionGroup[OSError]) -> OSError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
