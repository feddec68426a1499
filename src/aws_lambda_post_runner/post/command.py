"""How a post command is started, stopped and judged.

It gets a process group of its own, so that it can be stopped with all that it has started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping

import trio

from aws_lambda_post_runner.exits import why_not_started
from aws_lambda_post_runner.invocation import Budget, Ending, Settled, command_environment
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Settings

from .capture import captured_files

_LOOK_AGAIN = 0.005
"""Seconds between two looks whether the rest of a process group is gone."""


class CommandRunner:
    """Runs post commands: `SHELL -c COMMAND`, with `environment` (the handler's) and what the invocation adds."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], report: Report) -> None:
        self._settings = settings
        self._environment = environment
        self._report = report

    async def run(self, settled: Settled, budget: Budget, scope: trio.CancelScope) -> Ending:
        """Run the command and return when it has ended, its budget is used up or `scope` was cancelled.

        Of a command that had to be stopped, and of all in its process group, nothing is left on return. What a
        command leaves behind that ends by itself is left alone and not waited for.
        """
        remaining = budget.remaining(time.time())
        if remaining == 0:
            return Ending(
                problem=f"no time was left before the {budget.bound_by}", cut_off_by=budget.bound_by
            )
        if remaining is not None:
            scope.deadline = trio.current_time() + remaining
        group = _ProcessGroup(self._settings.grace, self._report, settled)
        captured = settled.invocation.captured
        began = time.monotonic()
        try:
            with captured_files(captured) as files, scope:
                await trio.run_process(
                    [self._settings.shell, "-c", self._settings.command],
                    env=command_environment(self._environment, settled, remaining, files),
                    stdin=b"".join(settled.invocation.work) or subprocess.DEVNULL,
                    check=False,
                    process_group=0,
                    deliver_cancel=group.stop,
                    task_status=group,
                )
        except OSError as error:
            return Ending(problem=why_not_started(error, self._settings.shell)[0])
        cut_off_by = ""
        if scope.cancelled_caught:
            await group.stop_rest()
            cut_off_by = budget.bound_by if trio.current_time() >= scope.deadline else "shutdown"
        returncode = group.returncode
        if returncode is None:
            return Ending(problem=f"the {cut_off_by} came first", cut_off_by=cut_off_by)
        return Ending(
            exit_status=returncode if returncode >= 0 else None,
            signal=-returncode if returncode < 0 else None,
            duration_ms=int((time.monotonic() - began) * 1000),
            cut_off_by=cut_off_by,
            not_captured=tuple(name for name in captured if name not in files),
        )


class _ProcessGroup:
    """The process group of one post command; `started` is what run_process calls (trio.TaskStatus)."""

    def __init__(self, grace: float, report: Report, settled: Settled) -> None:
        self._grace = grace
        self._report = report
        self._settled = settled
        self._process: trio.Process | None = None
        self._kill_at = 0.0

    @property
    def returncode(self) -> int | None:
        """Of the command itself, once it has ended; None if it was never started."""
        return self._process.returncode if self._process else None

    def started(self, process: trio.Process | None = None) -> None:
        """The command is running."""
        self._process = process
        if process is not None and self._report.observed:
            self._report.observe(
                "post-command-started",
                requestId=self._settled.invocation.request_id,
                outcome=self._settled.outcome.value,
                pid=process.pid,
            )

    async def stop(self, process: trio.Process) -> None:
        """SIGTERM to all, SIGKILL after the grace. Cancelled as soon as the command itself has ended."""
        self._kill_at = trio.current_time() + self._grace
        _signal_group(process.pid, signal.SIGTERM)
        await trio.sleep(self._grace)
        _signal_group(process.pid, signal.SIGKILL)

    async def stop_rest(self) -> None:
        """The command itself has ended; see that all else in its group ends, with the same grace."""
        if self._process is None:
            return
        with trio.CancelScope(shield=True):
            while _signal_group(self._process.pid, 0) and trio.current_time() < self._kill_at:  # noqa: ASYNC110 - no event tells
                await trio.sleep(_LOOK_AGAIN)
        _signal_group(self._process.pid, signal.SIGKILL)


def _signal_group(leader: int, number: int) -> bool:
    """Send a signal to a process group; 0 only looks. Tell whether anybody was there to get it."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True
