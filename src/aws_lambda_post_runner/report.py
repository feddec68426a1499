"""What we say: one line per post command and per trouble, as text or JSON, in the form that Lambda's logs have.

Lambda's log-level filter reads `timestamp` and `level` of a JSON line
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html). Nothing of an event, of
a response or of the environment's values is ever part of a line.
"""

import os
import signal
import time
from contextlib import suppress

from .invocation import Ending, Settled
from .settings import Level

NAME = "aws-lambda-post-runner"
_STDERR = 2


class Report:
    """Writes lines to standard error, and what happens to the observer's descriptor if there is one."""

    def __init__(self, level: Level, *, json_log: bool = False, observer_fd: int | None = None) -> None:
        self._level = level
        self._json_log = json_log
        self._observer_fd = observer_fd
        self.debugging = level.value <= Level.DEBUG.value
        """Whether debug lines are written at all; asked where making one would cost every invocation."""
        self.observed = observer_fd is not None
        """Likewise for `observe`."""
        if observer_fd is not None:
            os.set_inheritable(observer_fd, False)

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
        level = Level.WARN if ending.failed else Level.INFO
        self._say(level, _describe(ending) + f" (outcome {settled.outcome.value})", request_id, fields)
        self.observe("post-command-ended", requestId=request_id, **fields)

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
        with suppress(
            OSError
        ):  # nobody reads our lines any more; or descriptors have run out, even for imports
            if self._json_log:
                record = {
                    "timestamp": stamp,
                    "level": level.name,
                    "requestId": request_id or None,
                    "logger": NAME,
                }
                line = _as_json({**record, "message": message, **(fields or {})})
            else:
                line = f"[{level.name}]\t{stamp}\t{request_id}\t{NAME}: {message}\n".encode()
            os.write(_STDERR, line)


def _describe(ending: Ending) -> str:
    if ending.problem:
        return f"the post command was not started: {ending.problem}"
    if ending.signal is not None:
        how = f"was killed by {signal.Signals(ending.signal).name}"
    else:
        how = f"ended with status {ending.exit_status}"
    if ending.cut_off_by:
        how = f"was cut off by the {ending.cut_off_by} and {how}"
    missing = "".join(f", without the {name}, which could not be captured" for name in ending.not_captured)
    return f"the post command {how} after {ending.duration_ms} ms{missing}"


def _as_json(record: dict[str, object]) -> bytes:
    import json  # only if asked for: it would cost every cold start two milliseconds

    return json.dumps(record).encode() + b"\n"
