"""As the first process of a container we do what is expected of one, and everything else as ever."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import Start
from .fake_runtime_api import FakeRuntimeApi
from .running import RUNNER, Running, python_handler

AS_FIRST = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def cannot_be_first() -> str:
    if shutil.which("unshare") is None:
        return "needs unshare, of util-linux"
    tried = subprocess.run([*AS_FIRST, "true"], check=False, capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture(autouse=True)
def can_be_first() -> None:
    if reason := cannot_be_first():
        pytest.skip(reason)


ORPHANS = """
echo "$AWS_LAMBDA_RUNTIME_API"
for _ in 1 2 3 4 5 6 7 8 9 10; do (: & echo $! >> {log}); done
while read -r orphan; do while [ -e /proc/$orphan ]; do sleep 0.02; done; done < {log}
echo reaped
read -r status
exit "$status"
"""


def first_process(runner: Running) -> int:
    """The id of the runner under `unshare`, as it is seen from here."""
    parent = runner.process.pid
    [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


def test_what_has_lost_its_parent_is_reaped(start: Start, tmp_path: Path) -> None:
    handler = ["sh", "-c", ORPHANS.format(log=tmp_path / "orphans")]
    runner = start(handler, runner=[*AS_FIRST, *RUNNER], COMMAND=":")
    runner.await_output("reaped")
    runner.end_handler(7)
    assert runner.wait() == 7


def test_no_status_of_the_handlers_or_a_commands_is_lost(start: Start, runtime_api: FakeRuntimeApi) -> None:
    runner = start(runner=[*AS_FIRST, *RUNNER], COMMAND="(:&); (:&); (:&); exit 3")
    handler = runner.connect()
    for _ in range(20):
        request_id = runtime_api.invoke()
        assert handler.poll() == request_id
        handler.answer(request_id)
        assert runner.await_event("post-command-ended", request_id)["exitStatus"] == 3
    runner.end_handler(42)
    assert runner.wait() == 42


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_handler_and_we_end_with_its_status(
    start: Start, number: signal.Signals
) -> None:
    runner = start(python_handler("signalled.py"), runner=[*AS_FIRST, *RUNNER], COMMAND=":")
    runner.await_output("127.0.0.1:")
    os.kill(first_process(runner), number)
    runner.await_output(number.name)
    assert runner.wait() == 5


def test_the_handlers_death_by_a_signal_is_told_as_ever(start: Start) -> None:
    runner = start(["sh", "-c", "kill -KILL $$"], runner=[*AS_FIRST, *RUNNER], COMMAND=":")
    assert runner.wait() == 128 + signal.SIGKILL


def test_disabled_the_handler_is_the_first_process_itself(start: Start) -> None:
    runner = start(["sh", "-c", "echo I am $$"], runner=[*AS_FIRST, *RUNNER], DISABLED="for a test")
    runner.await_output("I am 1")
    assert runner.wait() == 0
