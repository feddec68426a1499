"""What ends a test process that hangs where pytest-timeout does not reach.

pytest-timeout raises in the test, once. It lets go when the test has failed, so that the end of a fixture may hang for
ever after that (`pytest_exception_interact` there), and it knows nothing of what comes between the tests and after the
last. So a timer in C is always armed, for what happens now: it shows where each thread stands, and ends the process.
xdist then counts the test as failed and goes on with another process.

The hooks are pytest's; conftest.py takes them in.
"""

import faulthandler
import os
import sys
from collections.abc import Generator

import pytest

SESSION = 1800.0 + int(os.environ.get("POST_RUNNER_INPUTS", "0"))
"""Seconds for all tests together, ten times what they take beside two busy processes."""
AFTERWARDS = 60.0
"""Seconds for the end of a test's fixtures, and for the end of the process: several times PATIENCE."""

_STDERR = pytest.StashKey[int]()
"""A descriptor of our own, for pytest puts a file in the place of the usual one while a test runs."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_STDERR] = os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    _end_in(SESSION, session.config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _end_in(_limit_of(item) + AFTERWARDS, item.config)
    try:
        return (yield)
    finally:
        _end_in(SESSION, item.config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Pytest disarms the timer when a test has failed (`pytest_exception_interact` of its own faulthandler)."""
    _end_in(AFTERWARDS, item.config)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing disarms it: what hangs in the interpreter's own end is ended as well.

    One of xdist's processes waits for the others when it has no more to do.
    """
    _end_in(SESSION if "PYTEST_XDIST_WORKER" in os.environ else AFTERWARDS, session.config)


def _limit_of(item: pytest.Item) -> float:
    """Seconds after which pytest-timeout ends the test."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout"))


def _end_in(seconds: float, config: pytest.Config) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[_STDERR])
