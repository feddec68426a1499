"""What we say: one line per post command and per trouble, as text or JSON, in the form that Lambda's logs have.

Lambda's log-level filter reads `timestamp` and `level` of a JSON line
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html). Nothing of an event, of
a response or of the environment's values is ever part of a line.

Nothing here raises: what cannot be encoded is written with backslashes, and what cannot be written is lost.
"""

import json
import os
import time
import traceback
from contextlib import suppress

from .exits import signal_name
from .invocation import Ending, Settled
from .settings import OBSERVER_FD, Level

NAME = "aws-lambda-post-runner"
_STDERR = 2


class Report:
    """Writes lines to standard error, and what happens to the observer's descriptor if there is one."""

    def __init__(self, level: Level, *, json_log: bool = False, observer_fd: int | None = None) -> None:
        self._level = level
        self._json_log = json_log
        self.debugging = level.value <= Level.DEBUG.value
        """Whether debug lines are written at all; asked where making one would cost every invocation."""
        self._observer_fd = self._keep_to_ourselves(observer_fd)
        self.observed = self._observer_fd is not None
        """Likewise for `observe`."""

    def _keep_to_ourselves(self, observer_fd: int | None) -> int | None:
        """The observer's descriptor, which nobody inherits; None if there is none."""
        if observer_fd is None:
            return None
        try:
            os.set_inheritable(observer_fd, False)
        except (OSError, OverflowError):
            self.warn(
                f"{OBSERVER_FD.full_name} is {observer_fd}, and no such descriptor is open; nobody is told"
            )
            return None
        return observer_fd

    def debug(self, message: str, request_id: str = "") -> None:
        """Say what only somebody who looks for a fault wants to know."""
        self._say(Level.DEBUG, message, request_id)

    def warn(self, message: str, request_id: str = "") -> None:
        """Say what somebody should look at."""
        self._say(Level.WARN, message, request_id)

    def error(self, message: str) -> None:
        """Say what kept the function from doing its work."""
        self._say(Level.ERROR, message)

    def command_ended(self, settled: Settled, ending: Ending) -> None:
        """Report a post command: at WARN if it failed, at INFO if not."""
        level = Level.WARN if ending.failed else Level.INFO
        message = _describe(ending) + f" (outcome {settled.outcome.value})"
        self._command_ended(level, message, settled, ending)

    def post_work_failed(self, settled: Settled, error: Exception) -> Ending:
        """Report an error that nobody has foreseen, with its traceback: post work failed, and the function goes on.

        Return what it counts as.
        """
        story = "".join(traceback.format_exception(error)).rstrip("\n")
        ending = Ending(problem=f"{type(error).__name__}: {error}")
        self._command_ended(Level.WARN, f"the post work failed as nobody foresaw: {story}", settled, ending)
        return ending

    def _command_ended(self, level: Level, message: str, settled: Settled, ending: Ending) -> None:
        request_id = settled.invocation.request_id
        fields: dict[str, object] = {
            "outcome": settled.outcome.value,
            "exitStatus": ending.exit_status,
            "signal": ending.signal,
            "durationMs": ending.duration_ms,
            "cutOffBy": ending.cut_off_by or None,
            "problem": ending.problem or None,
            "notCaptured": list(ending.not_captured),
        }
        self._say(level, message, request_id, fields)
        self.observe("post-command-ended", requestId=request_id, **fields)

    def waits_cut_off(self, settled: Settled, number: int, cut_off_by: str) -> None:
        """Report that so many of the handler's waits had not ended when they were given up.

        `cut_off_by` is `timeout`, `deadline`, `shutdown`, or `exit` if the handler itself has ended.
        """
        cause = "the handler exited" if cut_off_by == "exit" else f"the {cut_off_by}"
        message = f"{number} of the handler's waits did not end before {cause}"
        fields: dict[str, object] = {
            "outcome": settled.outcome.value,
            "expiredWaits": number,
            "cutOffBy": cut_off_by,
        }
        self._say(Level.WARN, message, settled.invocation.request_id, fields)

    def write(self, line: bytes) -> None:
        """Write a line that is not for people, as it is and whatever the level."""
        with suppress(OSError):  # nobody reads our lines any more
            os.write(_STDERR, line)

    def observe(self, event: str, **fields: object) -> None:
        """Tell the observer what has just happened, as one JSON line; without an observer do nothing."""
        if self._observer_fd is None:
            return
        line = _as_json({"event": event, "time": time.time(), **fields})
        with suppress(OSError):  # an observer that went away must not disturb the function
            os.write(self._observer_fd, line)

    def _say(
        self, level: Level, message: str, request_id: str = "", fields: dict[str, object] | None = None
    ) -> None:
        if level.value < self._level.value:
            return
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
        if self._json_log:
            record = {
                "timestamp": stamp,
                "level": level.name,
                "requestId": request_id or None,
                "logger": NAME,
            }
            line = _as_json({**record, "message": message, **(fields or {})})
        else:
            text = f"[{level.name}]\t{stamp}\t{request_id}\t{NAME}: {message}\n"
            line = text.encode(errors="backslashreplace")
        self.write(line)


def _describe(ending: Ending) -> str:
    if ending.problem:
        return f"the post command was not started: {ending.problem}"
    if ending.signal is not None:
        how = f"was killed by {signal_name(ending.signal)}"
    else:
        how = f"ended with status {ending.exit_status}"
    if ending.cut_off_by:
        how = f"was cut off by the {ending.cut_off_by} and {how}"
    missing = "".join(f", without the {name}, which could not be captured" for name in ending.not_captured)
    return f"the post command {how} after {ending.duration_ms} ms{missing}"


def _as_json(record: dict[str, object]) -> bytes:
    # Half a character, as a path may have, is part of no valid JSON text.
    whole = {name: _whole(value) if isinstance(value, str) else value for name, value in record.items()}
    return json.dumps(whole).encode() + b"\n"


def _whole(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
