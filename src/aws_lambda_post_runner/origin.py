"""What we were started with, for the handler to get it too: Python has changed some of it when our first line runs."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_SET_BY_PYTHON = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
"""What Python sets LC_CTYPE to in the C locale (PEP 538), so that what it starts has the same."""
_IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""What these were before cannot be told. As `subprocess` does, we take it that they were not ignored."""
_NUMBERS = tuple(map(int, signal.valid_signals()))
"""Of all signals. To list them anew takes longer than all else that is done with them at a start."""

_CAUGHT_BY_PYTHON = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
"""With PYTHONFAULTHANDLER or PYTHONDEVMODE (Modules/faulthandler.c)."""

_FIRST_LINE = 256
"""Bytes that Linux reads of a script's first line."""


def given_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with LC_CTYPE as it was before Python set it; what it was is told by /proc alone.

    A variable without a name, which execve(2) takes and Python refuses to pass on, is left out.
    """
    given = {name: value for name, value in environment.items() if name}
    if given.get("LC_CTYPE") in _SET_BY_PYTHON:
        with suppress(OSError):
            at_start = _at_start("LC_CTYPE")
            del given["LC_CTYPE"]
            given.update(at_start)
    return given


def _at_start(name: str) -> dict[str, str]:
    variables = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(variable).partition("=") for variable in variables)
    return {key: value for key, _, value in pairs if key == name}


def ignored_signals() -> list[int]:
    """The signals that we were started to ignore; whatever is started ignores them likewise."""
    return [
        number
        for number in _NUMBERS
        if signal.getsignal(number) is signal.SIG_IGN and number not in _IGNORED_BY_PYTHON
    ]


def heed_what_python_ignores() -> None:
    """Undo that Python ignores SIGPIPE and SIGXFSZ; what takes our place would go on ignoring them."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)


def let_interrupts_end_us() -> None:
    """Undo that Python makes an exception of SIGINT: before there is a handler it ends us as any other signal does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def drop_what_python_catches() -> None:
    """Undo that the interpreter catches SIGABRT and others, where it was told to.

    They are meant for the handler, and what was not set by Python code (`getsignal` is None) cannot be put back by it:
    whoever tries, when we end, raises TypeError.
    """
    for number in _CAUGHT_BY_PYTHON:
        if signal.getsignal(number) is None:
            signal.signal(number, signal.SIG_DFL)


def seconds_since_start() -> float:
    """How long this process has been there, to within a hundredth of a second; as a rule never too much.

    Linux tells the start in ticks of a hundredth, rounded down. Where it was a rounded tick ago, the time that the
    processor has spent on us is more exact, for little else is done before the handler is started.
    """
    busy = time.process_time()
    try:
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        tick = 1 / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):  # macOS has neither the file nor the clock
        return busy
    return max(busy, since_boot - (ticks + 1) * tick)


def is_ourselves(program: str) -> bool:
    """Tell whether a program, a path or a name on PATH, is the one that we were started as, or a script that it runs.

    Such a script is the layer's entry.sh. Started by us, either would start us again, for ever.
    """
    found, ourselves = shutil.which(program), shutil.which(sys.argv[0])
    if found is None or ourselves is None:
        return False
    return any(_is_same_file(path, ourselves) for path in (found, _interpreter_of(found)))


def _is_same_file(path: str, other: str) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return False


def _interpreter_of(script: str) -> str:
    """What the first line of a script names; the script itself if it names nothing or cannot be read."""
    try:
        with Path(script).open("rb") as file:
            mark, _, line = file.readline(_FIRST_LINE).partition(b"#!")
    except OSError:
        return script
    return os.fsdecode(line.split()[0]) if not mark and line.strip() else script
