"""Run our proxy and note, at every tick of its processor time, whose code it is in.

    python sampler.py SAMPLES_FILE HANDLER ARGS...

Two interval timers of the kernel tick while this process is on a processor and at no other time: one in all of its
time, one in its time outside the kernel only. So what is seen at the first but not at the second was spent in
system calls. Python runs a signal's handler before it begins the next function, loop or line after a call, so a
sample can be charged a few instructions late, but a long call is always charged to who called it.
"""

import json
import runpy
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from aws_lambda_post_runner import exits

CLOCK_MONOTONIC_COARSE = 6
TICK_SECONDS = time.clock_getres(CLOCK_MONOTONIC_COARSE)
"""The kernel's own tick, at which it counts processor time. With a shorter interval the timers would lag behind."""
SAMPLES_BETWEEN_WRITES = 50
"""The file is written over and over, since a proxy may end without cleaning up."""


class Sampler:
    """Counts the ticks by who was running: {"any time": {"trio": 12, …}, "outside the kernel": {…}}."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, Counter[str]] = {"any time": Counter(), "outside the kernel": Counter()}
        self._count = 0

    def start(self) -> None:
        """Begin to count."""
        signal.signal(signal.SIGPROF, lambda _, frame: self._note("any time", frame))
        signal.signal(signal.SIGVTALRM, lambda _, frame: self._note("outside the kernel", frame))
        signal.setitimer(signal.ITIMER_PROF, TICK_SECONDS, TICK_SECONDS)
        signal.setitimer(signal.ITIMER_VIRTUAL, TICK_SECONDS, TICK_SECONDS)

    def _note(self, when: str, frame: FrameType | None) -> None:
        self._seen[when][whose(frame)] += 1
        self._count += 1
        if self._count % SAMPLES_BETWEEN_WRITES == 0:
            self._path.write_text(json.dumps(self._seen))


def whose(frame: FrameType | None) -> str:
    """The library, or our module, that is running; what the standard library does is charged to its caller."""
    while frame:
        path = Path(frame.f_code.co_filename)
        match path.parts:
            case [*_, "aws_lambda_post_runner", ("proxy" | "post") as wing, module]:
                return f"{wing}/{module}"
            case [*_, "aws_lambda_post_runner", module]:
                return module
            case parts if "trio" in parts:
                return "trio"
            case parts if "h11" in parts:
                return "h11"
        frame = frame.f_back
    return "others"


if __name__ == "__main__":
    # What would end us is passed on to the handler; these two are the sampler's.
    exits.ENDING -= {signal.SIGPROF, signal.SIGVTALRM}
    Sampler(Path(sys.argv.pop(1))).start()
    runpy.run_module("aws_lambda_post_runner", run_name="__main__", alter_sys=True)
