"""What processes are there, and what they do, is looked at while they go on: one that ends meanwhile disturbs nothing.

Where the system does not tell, that is an error, and never taken for quiet.
"""

import io
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_lambda_post_runner.post import quiet, session
from aws_lambda_post_runner.post.quiet import look_at
from aws_lambda_post_runner.post.session import Session

from .fake_runtime_api import PATIENCE


class OfOneMoment:
    """A thread that lives until the test has seen it."""

    def __init__(self) -> None:
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._may_end.wait, args=[PATIENCE])
        self._thread.start()

    @property
    def id(self) -> int:
        assert self._thread.native_id is not None
        return self._thread.native_id

    def end(self) -> None:
        """Let it end, and wait until the kernel has forgotten it."""
        self._may_end.set()
        self._thread.join()
        while Path(f"/proc/self/task/{self.id}").exists():
            os.sched_yield()


@pytest.fixture
def thread() -> Iterator[OfOneMoment]:
    thread = OfOneMoment()
    yield thread
    thread.end()


def ours(look: quiet.Look) -> set[int]:
    return set(look.run_times)


def test_a_thread_that_ends_after_it_was_listed_is_not_counted(
    thread: OfOneMoment, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_names = quiet._names_in

    def list_and_let_end(folder: str) -> list[str]:
        names = list_names(folder)
        if folder.endswith("/task"):
            thread.end()
        return names

    assert thread.id in ours(look_at(os.getpid(), 0))
    monkeypatch.setattr(quiet, "_names_in", list_and_let_end)
    after = ours(look_at(os.getpid(), 0))
    assert thread.id not in after
    assert os.getpid() in after


def test_a_thread_that_ends_while_its_time_is_read_is_not_counted(
    thread: OfOneMoment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_and_let_end(path: str, mode: str) -> io.BufferedReader:
        opened = Path(path).open(mode)  # noqa: SIM115 - whoever asked closes it
        if f"/{thread.id}/" in path:
            thread.end()
        assert isinstance(opened, io.BufferedReader)
        return opened

    monkeypatch.setattr(quiet, "open", open_and_let_end, raising=False)
    after = ours(look_at(os.getpid(), 0))
    assert thread.id not in after
    assert os.getpid() in after


def test_a_process_that_ends_after_it_was_listed_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    list_processes = session.living

    def list_and_let_end() -> list[session.Process]:
        listed = list(list_processes())
        process.kill()
        process.wait(PATIENCE)
        return listed

    process = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(quiet, "living", list_and_let_end)
    look = look_at(process.pid, 0)
    assert (look.run_times, look.awaits_answer) == ({}, False)


def test_a_linux_that_keeps_no_times_of_threads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(path: str, _: str) -> io.BufferedReader:
        raise FileNotFoundError(path)

    monkeypatch.setattr(quiet, "open", find_none, raising=False)
    with pytest.raises(FileNotFoundError, match="schedstat"):
        look_at(os.getpid(), 0)


def test_a_kernel_that_does_not_tell_of_connections_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses what it does not know, as one does that was built without it."""
    monkeypatch.setattr(quiet, "_BY_FAMILY", 0x7FFF)
    with pytest.raises(OSError, match="sock_diag"):
        look_at(os.getpid(), 0)


def test_a_linux_that_does_not_tell_how_much_came_is_an_error() -> None:
    """One before 4.1 tells less of a connection."""
    told = quiet._ATTRIBUTE.pack(quiet._ATTRIBUTE.size + 100, quiet._TCP_INFO) + bytes(100)
    with pytest.raises(OSError, match=r"4\.1"):
        quiet._waits(told)


def test_a_connection_of_which_nothing_is_told_does_not_wait() -> None:
    other = quiet._ATTRIBUTE.pack(8, quiet._TCP_INFO + 1) + bytes(4)
    assert not quiet._waits(other)


@pytest.fixture
def command() -> Iterator[subprocess.Popen[bytes]]:
    """A post command, as it is started: with a session and a mark of its own."""
    environment = {**os.environ, "OF_THIS_COMMAND": "1"}
    with subprocess.Popen(["sleep", "60"], start_new_session=True, env=environment) as process:
        yield process
        process.kill()


MARK = "OF_THIS_COMMAND=1"


def test_where_there_is_no_proc_the_commands_own_group_gets_the_signal(
    command: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on macOS, or when descriptors have run out."""
    monkeypatch.setattr(session, "_PROC", tmp_path / "none")
    made = Session(command.pid, MARK)
    assert made.signal(0)
    assert made.signal(signal.SIGTERM)
    assert command.wait(PATIENCE) == -signal.SIGTERM
    assert not made.signal(signal.SIGTERM)


def test_a_process_that_ends_after_it_was_listed_gets_no_signal(
    command: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    list_processes = session.living

    def list_and_let_end() -> list[session.Process]:
        listed = list(list_processes())
        command.kill()
        command.wait(PATIENCE)
        return listed

    monkeypatch.setattr(session, "living", list_and_let_end)
    assert not Session(command.pid, MARK).signal(signal.SIGTERM)
