"""What we were started with, for the handler to get it too: Python has changed some of it when our first line runs."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_SET_BY_PYTHON = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
"""What Python sets LC_CTYPE to in the C locale (PEP 538), so that what it starts has the same."""
_IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""What these were before cannot be told. As `subprocess` does, we take it that they were not ignored."""


def given_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with LC_CTYPE as it was before Python set it; what it was is told by /proc alone."""
    given = dict(environment)
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
        for number in signal.valid_signals() - _IGNORED_BY_PYTHON
        if signal.getsignal(number) is signal.SIG_IGN
    ]


def heed_what_python_ignores() -> None:
    """Undo that Python ignores SIGPIPE and SIGXFSZ; what takes our place would go on ignoring them."""
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
