"""What the first process of a container owes the others: it reaps what has lost its parent, and passes signals on.

The runner proper is then its only child of its own, so that nobody but trio waits for the handler and the commands.
In Lambda we are never the first process; under `docker run` we are, where we are the image's entry point.
"""

import os
import signal
from collections.abc import Callable

from .exits import ENDING, exit_status

_AWAITED = ENDING | {signal.SIGCHLD}


def run_as_child(run: Callable[[], int]) -> int:
    """Run it in a child of ours, and see to the rest until that child has ended; return its status.

    In the child, too, this returns: with what `run` has returned. When we end, the kernel ends all others.
    """
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, _AWAITED
    )  # whatever comes from here on is waited for below
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return run()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, there is no status
    while True:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            os.kill(child, number)
        elif (status := _reap(child)) is not None:
            return status


def _reap(child: int) -> int | None:
    """Take note of all that have ended; the status of `child` if it is one of them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return exit_status(os.waitstatus_to_exitcode(status))
        if pid == 0:
            return None
