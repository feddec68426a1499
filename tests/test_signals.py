"""Whatever signal would end us ends the handler first, and whoever sent it learns how the handler has ended."""

import signal

import pytest

from .conftest import Start

HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
OUR_OWN = {signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
ENDING = sorted(signal.valid_signals() - HARMLESS - STOPPING - OUR_OWN - IGNORED_BY_PYTHON)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_would_end_us_ends_the_handler_and_we_say_so(start: Start, number: int) -> None:
    runner = start(COMMAND=":")
    runner.await_output("127.0.0.1:")
    runner.signal(number)
    assert runner.wait() == 128 + number
    assert runner.events("handler-ended")[0]["status"] == 128 + number
    assert runner.processes() == []


@pytest.mark.parametrize("number", sorted(IGNORED_BY_PYTHON | HARMLESS))
def test_other_signals_end_neither_us_nor_the_handler(start: Start, number: int) -> None:
    runner = start(COMMAND=":")
    runner.await_output("127.0.0.1:")
    runner.signal(number)
    runner.end_handler(5)
    assert runner.wait() == 5
