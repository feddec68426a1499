"""Whatever signal would end us ends the handler first, and whoever sent it learns how the handler has ended."""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from .conftest import Start
from .running import PREFIX, RUNNER, WAITING_HANDLER

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


DEAF = ["sh", "-c", 'trap "" TERM HUP; echo "$AWS_LAMBDA_RUNTIME_API"; read -r status; exit "$status"']


def test_signals_that_come_while_the_handler_ends_by_itself_leave_its_status(start: Start) -> None:
    """Until the very end: the interpreter, too, takes its time to go."""
    for _ in range(5):
        runner = start(DEAF, COMMAND=":")
        runner.await_output("127.0.0.1:")
        runner.end_handler(7)
        while runner.process.poll() is None:
            runner.signal(signal.SIGTERM)
            runner.signal(signal.SIGHUP)
            time.sleep(0.0005)  # or it would be busy with them for as long as they come
        assert runner.wait() == 7


A_PAGE = 4096


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_comes_before_the_handler_is_started_ends_us_without_a_word(number: int) -> None:
    """We are held up by a line about a name that is longer than what standard error takes."""
    error, ours = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, A_PAGE)
    environment = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9",
        f"{PREFIX}COMMAND": "true",
        f"{PREFIX}{'X' * 3 * A_PAGE}": "",
    }
    with (
        subprocess.Popen([*RUNNER, "true"], env=environment, stderr=ours) as process,
        os.fdopen(error, "rb") as said,
    ):
        os.close(ours)
        while _unread(error) < A_PAGE:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(number)
        assert b"Traceback" not in said.read()
        assert process.wait() == -number


def _unread(pipe: int) -> int:
    """How many bytes are in a pipe."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


MAY_NOT_KILL = ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"]
AS_ANOTHER_USER = ["setpriv", "--reuid=65534"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, of util-linux")
def test_a_signal_that_may_not_be_passed_on_is_told_in_one_line_and_we_end_when_the_handler_does(
    start: Start,
) -> None:
    runner = start([*AS_ANOTHER_USER, *WAITING_HANDLER], runner=[*MAY_NOT_KILL, *RUNNER], COMMAND=":")
    connection = runner.connect()
    runner.signal(signal.SIGTERM)
    line = runner.stderr.await_line(lambda line: "SIGTERM" in line)
    assert line.startswith("[WARN]")
    assert "SIGTERM may not be passed on, for the handler has become another user" in line
    assert connection.answer("any").status == 202
    runner.end_handler(6)
    assert runner.wait() == 6
    assert runner.said().splitlines()[0] == line
