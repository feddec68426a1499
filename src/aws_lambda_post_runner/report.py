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
from .invocation import Ending, Invocation, Settled, Wait, WaitsEnding
from .settings import OBSERVER_FD, Level

NAME = "aws-lambda-post-runner"
_STDERR = 2
_NAMES_TOLD = 20
"""Names of waits in one line. There can be a thousand, and CloudWatch cuts a line that is too long."""


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
        """Say what kept the function from doing its work, or what is lost."""
        self._say(Level.ERROR, message)

    def command_ended(self, settled: Settled, ending: Ending, retries: int = 0) -> None:
        """Report a post command that is not tried again: at WARN if it failed, at INFO if not."""
        level = Level.WARN if ending.failed else Level.INFO
        if level.value < self._level.value and not self.observed:
            return  # as after most invocations: nothing need be made up to be said to nobody
        tried = f", tried {retries + 1} times" if retries else ""
        message = _describe("post", ending) + f" (outcome {settled.outcome.value}{tried})"
        self._tell(level, "post-command-ended", message, settled, {**_fields_of(ending), "retries": retries})

    def command_is_tried_again(self, settled: Settled, ending: Ending, retry: int, delay: float) -> None:
        """Report a post command that failed and is tried again in `delay` seconds: nothing is lost yet."""
        delay_ms = int(delay * 1000)
        message = f"{_describe('post', ending)}; it is tried again in {delay_ms} ms (retry {retry})"
        fields = {**_fields_of(ending), "retry": retry, "delayMs": delay_ms}
        self._tell(Level.INFO, "post-command-retried", message, settled, fields)

    def command_skipped(self, settled: Settled, ending: Ending) -> None:
        """Report a post command that the breaker did not let run. At DEBUG: that it skips has been said once."""
        fields = _fields_of(ending)
        self._say_of(Level.DEBUG, "post-command-skipped", _describe("post", ending), settled, fields)
        # For an observer it is the end of this command as any other.
        self._observe_of("post-command-ended", settled, fields)

    def fallback_ended(self, settled: Settled, ending: Ending, reason: str) -> None:
        """Report a fallback command: at ERROR if it failed, for then something is lost, and at INFO if not."""
        failed = Level.WARN if ending.succeeded else Level.ERROR
        level = failed if ending.failed else Level.INFO
        lost = "" if ending.succeeded else "; the work is lost"
        message = f"{_describe('fallback', ending)}{lost} (the post command: {reason})"
        self._tell(
            level, "fallback-command-ended", message, settled, {**_fields_of(ending), "reason": reason}
        )

    def breaker_opened(self, settled: Settled, failures: int, pause: float) -> None:
        """Report that post commands are skipped from now on for `pause` seconds: once, not for each."""
        message = f"the post command failed {failures} times in a row: it is skipped for {pause:g} s, then tried once"
        fields: dict[str, object] = {"failures": failures, "pauseMs": int(pause * 1000)}
        self._tell(Level.WARN, "breaker-opened", message, settled, fields)

    def breaker_closed(self, settled: Settled, skipped: int) -> None:
        """Report that post commands run again, and how many did not."""
        message = f"the post command succeeded again, and runs from now on; {skipped} were skipped"
        self._tell(Level.WARN, "breaker-closed", message, settled, {"skipped": skipped})

    def post_work_failed(self, settled: Settled, error: Exception) -> Ending:
        """Report an error that nobody has foreseen, with its traceback: post work failed, and the function goes on.

        Return what it counts as.
        """
        story = "".join(traceback.format_exception(error)).rstrip("\n")
        ending = Ending(problem=f"{type(error).__name__}: {error}")
        message = f"the post work failed as nobody foresaw: {story}"
        self._tell(Level.WARN, "post-command-ended", message, settled, {**_fields_of(ending), "retries": 0})
        return ending

    def waits_ended(self, settled: Settled, ending: WaitsEnding) -> None:
        """Report how what the handler asked us to wait for has ended: at WARN if some was given up, at INFO if not."""
        number = len(ending.expired)
        names = [wait.name for wait in ending.expired if wait.name]
        told = names[:_NAMES_TOLD]
        if ending.cut_off_by:
            cause = "the handler exited" if ending.cut_off_by == "exit" else f"the {ending.cut_off_by}"
            message = f"{number} of the handler's waits did not end before {cause}"
            message += f": {', '.join(told)}" if told else ""
            message += f" and {len(names) - len(told)} more" if len(names) > len(told) else ""
        else:
            message = f"the handler's waits, {ending.begun} in all, had ended after {ending.duration_ms} ms"
        fields: dict[str, object] = {
            "waits": ending.begun,
            "expiredNames": told,
            "durationMs": ending.duration_ms,
            "cutOffBy": ending.cut_off_by or None,
        }
        level = Level.WARN if number else Level.INFO
        self._say_of(level, "waits-ended", message, settled, {**fields, "expiredWaits": number})
        self._observe_of("waits-ended", settled, {**fields, "expired": number})

    def wait_begun(self, invocation: Invocation, wait: Wait) -> None:
        """Tell an observer, and whoever looks for a fault, what the handler asks us to wait for."""
        if self.debugging:
            self.debug(f"the handler asks us to wait for {wait.name or 'something'}", invocation.request_id)
        if self.observed:
            self.observe("wait-begun", requestId=invocation.request_id, name=wait.name)

    def wait_ended(self, invocation: Invocation, wait: Wait) -> None:
        """Tell them that it has ended, and how long it took since the handler asked."""
        duration_ms = int((time.time() - wait.began) * 1000)
        if self.debugging:
            ended = f"{wait.name or 'something'} that the handler asked us to wait for ended"
            self.debug(f"{ended} after {duration_ms} ms", invocation.request_id)
        if self.observed:
            self.observe(
                "wait-ended", requestId=invocation.request_id, name=wait.name, durationMs=duration_ms
            )

    def _tell(
        self, level: Level, event: str, message: str, settled: Settled, fields: dict[str, object]
    ) -> None:
        """Say what has become of an invocation's post work, and tell the observer by the same name."""
        self._say_of(level, event, message, settled, fields)
        self._observe_of(event, settled, fields)

    def _say_of(
        self, level: Level, event: str, message: str, settled: Settled, fields: dict[str, object]
    ) -> None:
        told = {"event": event, "outcome": settled.outcome.value, **fields}
        self._say(level, message, settled.invocation.request_id, told)

    def _observe_of(self, event: str, settled: Settled, fields: dict[str, object]) -> None:
        outcome = settled.outcome.value
        self.observe(event, requestId=settled.invocation.request_id, outcome=outcome, **fields)

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
        stamp = timestamp(time.time())
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


def timestamp(now: float) -> str:
    """A time, in seconds since 1970, as Lambda's own lines have it and its filter reads it: RFC 3339, in ms."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"


def _fields_of(ending: Ending) -> dict[str, object]:
    return {
        "exitStatus": ending.exit_status,
        "signal": ending.signal,
        "durationMs": ending.duration_ms,
        "cutOffBy": ending.cut_off_by or None,
        "problem": ending.problem or None,
        "notCaptured": list(ending.not_captured),
    }


def _describe(which: str, ending: Ending) -> str:
    if ending.problem:
        return f"the {which} command was not started: {ending.problem}"
    if ending.signal is not None:
        how = f"was killed by {signal_name(ending.signal)}"
    else:
        how = f"ended with status {ending.exit_status}"
    if ending.cut_off_by:
        how = f"was cut off by the {ending.cut_off_by} and {how}"
    missing = "".join(f", without the {name}, which could not be captured" for name in ending.not_captured)
    return f"the {which} command {how} after {ending.duration_ms} ms{missing}"


def _as_json(record: dict[str, object]) -> bytes:
    # Half a character, as a path may have, is part of no valid JSON text.
    whole = {name: _whole(value) if isinstance(value, str) else value for name, value in record.items()}
    return json.dumps(whole).encode() + b"\n"


def _whole(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
