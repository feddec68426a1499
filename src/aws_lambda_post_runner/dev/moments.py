"""What happened, and when: the one thing that all of `dev` writes and the timeline reads.

| what | request | details |
| --- | --- | --- |
| listening | | address: where callers invoke |
| port-taken | | port: the usual one, so that another was chosen |
| restarted | | reason: what made `--watch` end the handler; the next event starts it anew |
| environment-started | | pid, runtimeApi (its address) |
| environment-ready | | the handler's first poll has arrived: init is over |
| sent | id | type (RequestResponse or Event), bytes |
| handed | id | deadlineMs: the handler has the event |
| settled | id | outcome, errorType (None: it did not fail): the Runtime API has the handler's answer |
| answer-part | id | bytes: the caller is sent a part of a streamed answer |
| answered | id | status, bytes, preview (the beginning of a whole answer): the caller has its answer; status
None: it was cut short, or the caller is gone |
| killed | id | programs: the command lines of what ran beside the handler when the timeout was up |
| ended | id | how: polled, answered (nothing polls on Managed Instances), timeout, crash or init-error |
| frozen, thawed | | processes |
| output | | line: the handler, the runner or the command wrote it |
| environment-ended | | exitStatus, negative for a signal |

The runner's own observer channel adds handler-started, handler-ended, poll-held, poll-relayed, wait-begun,
wait-ended, waits-ended, settled-down, span-sent, breaker-opened, breaker-closed, post-command-started (for each run),
post-command-retried, post-command-ended, fallback-command-started and -ended, with the details that it gives them.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Moment:
    """One thing that happened: `time` in seconds since the epoch, `details` as the table above has them."""

    what: str
    time: float
    request_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as one line, in the form of the runner's own observer channel."""
        known = {"event": self.what, "time": round(self.time, 6), "requestId": self.request_id}
        return json.dumps({name: value for name, value in known.items() if value is not None} | self.details)


Sink = Callable[[Moment], None]


class Recorder:
    """Passes each moment on to everyone who wants to know."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def now(self, what: str, request_id: str | None = None, **details: Any) -> None:
        """Record that `what` happens now."""
        self.record(Moment(what, time.time(), request_id, details))

    def record(self, moment: Moment) -> None:
        """Record something that happened, perhaps a little ago."""
        for sink in self._sinks:
            sink(moment)
