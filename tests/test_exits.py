"""How an end is told: in the words and by the statuses that shells have for it."""

import errno
import signal

import pytest

from aws_lambda_post_runner.exits import exit_status, signal_name, why_not_started

FIRST = signal.SIGRTMIN
LAST = signal.SIGRTMAX


def test_a_signal_has_the_name_that_a_shell_has_for_it() -> None:
    assert signal_name(signal.SIGTERM) == "SIGTERM"
    assert [signal_name(number) for number in (FIRST, FIRST + 1, LAST - 1, LAST)] == [
        "SIGRTMIN",
        "SIGRTMIN+1",
        f"SIGRTMIN+{LAST - 1 - FIRST}",
        "SIGRTMAX",
    ]


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert signal_name(FIRST - 1) == f"signal {FIRST - 1}"  # the C library's own


def test_where_there_are_no_signals_for_real_time_use_the_number_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    monkeypatch.delattr(signal, "SIGRTMIN")
    assert signal_name(FIRST + 1) == f"signal {FIRST + 1}"


def test_the_status_is_the_childs_own_or_128_and_its_signal() -> None:
    assert [exit_status(0), exit_status(7), exit_status(-signal.SIGKILL)] == [0, 7, 137]


def test_a_program_that_is_not_there_is_told_apart_from_one_that_cannot_be_run() -> None:
    missing = FileNotFoundError(errno.ENOENT, "")
    forbidden = PermissionError(errno.EACCES, "")
    assert why_not_started(missing, "./a") == ("./a: No such file or directory", 127)
    assert why_not_started(forbidden, "./a") == ("./a: Permission denied", 126)
