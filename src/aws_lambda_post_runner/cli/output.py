"""Where the commands print to, and how they end when nobody reads that any more."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

import trio
from rich.console import Console

from aws_lambda_post_runner.dev.view.display import PLAIN_WIDTH

BROKEN_PIPE = 128 + signal.SIGPIPE


def console() -> Console:
    """Return standard output: as wide as its terminal, and elsewhere wide enough that nothing need be wrapped."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def nowhere() -> Console:
    """Return a console whose output nobody sees."""
    return Console(file=StringIO(), width=PLAIN_WIDTH)


def run_for_a_reader(what: Callable[..., Awaitable[int]], *args: Any) -> int:
    """Run it and return its status; when whoever reads our output goes away, end quietly, as programs do."""
    status = BROKEN_PIPE
    try:
        status = trio.run(what, *args)
    except* (BrokenPipeError, SystemExit):  # rich makes the one into the other
        # The interpreter must not fail once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
