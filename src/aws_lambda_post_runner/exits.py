"""How processes end, in the words and statuses that shells have for it. Pure: no IO."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

NOT_FOUND = 127
NOT_EXECUTABLE = 126
"""The statuses with which shells end when they cannot start a command."""

_HARMLESS = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGCONT,
        signal.SIGURG,
        signal.SIGWINCH,
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
_OUR_OWN = frozenset(
    {
        signal.SIGKILL,  # nobody can catch it
        # A fault of ours, as a rule. Who catches that in Python goes on, and meets it again, for ever.
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        # Python ignores these two; they tell of a write of ours.
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }
)
ENDING = frozenset(map(int, signal.valid_signals() - _HARMLESS - _OUR_OWN))
"""The signals that end a process that does nothing about them, and that are not about ourselves alone."""


def exit_status(returncode: int) -> int:
    """The status to end with for a child that ended so: n for n, 128+s for signal s, as shells have it."""
    return 128 - returncode if returncode < 0 else returncode


def why_not_started(error: OSError, path: str) -> tuple[str, int]:
    """What to say of a program that could not be started, and the status that shells have for it."""
    status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    return f"{path}: {os.strerror(error.errno or 0)}", status


@contextmanager
def no_thread_is_no_process() -> Iterator[None]:
    """Raise OSError for a program that could not be started because there was no thread to start it in.

    trio takes one, and threads count as processes do (RLIMIT_NPROC; 1,024 of both together in Lambda). The kernel's
    error is the same, EAGAIN, see clone(2) and pthread_create(3), but Python makes a RuntimeError of it.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != "can't start new thread":  # CPython's _threadmodule.c, in all versions
            raise
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error


def signal_name(number: int) -> str:
    """The name of a signal. Those for real-time use have names relative to the first, as in a shell's `kill -l`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        first = getattr(signal, "SIGRTMIN", number + 1)  # macOS has none of these
        return f"SIGRTMIN+{number - first}" if number > first else f"signal {number}"
