"""Whatever a test does, the process that runs it ends, says where it stood, and counts as failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFTEST = """
import os
from tests import time_limits
from tests.time_limits import *

if "-n" not in os.environ["ARGUMENTS"] or "PYTEST_XDIST_WORKER" in os.environ:
    time_limits.AFTERWARDS = 4.0
"""
"""Enough for pytest to end properly, on a busy machine too. xdist waits 10 s for a worker that has gone."""

HANGS = {
    "where no signal is heard": """
import pytest, signal, threading

@pytest.mark.timeout(1)
def test_it():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Event().wait()
""",
    "in the end of a fixture": """
import pytest, threading

@pytest.fixture
def thing():
    yield
    threading.Event().wait()

def test_it(thing):
    pass
""",
    "in the end of a fixture of a test that has failed": """
import pytest, threading

@pytest.fixture
def thing():
    yield
    threading.Event().wait()

def test_it(thing):
    assert False
""",
    "after the last test": """
import threading

def test_it():
    threading.Thread(target=threading.Event().wait).start()
""",
}


def run_pytest(folder: Path, hang: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 60\ntimeout_method = signal\n")
    (folder / "test_it.py").write_text(hang)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop(
        "PYTEST_XDIST_WORKER", None
    )  # of the process that runs this test; that one is not part of it
    environment["ARGUMENTS"] = " ".join(arguments)
    return subprocess.run(
        [*command, *arguments, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("where", HANGS)
def test_a_test_that_hangs_ends_its_process_with_the_place_shown(where: str, tmp_path: Path) -> None:
    done = run_pytest(tmp_path, HANGS[where])
    assert done.returncode == 1
    assert " in wait" in done.stderr + done.stdout


def test_a_worker_that_hangs_is_ended_and_its_test_counts_as_failed(tmp_path: Path) -> None:
    hang = HANGS["in the end of a fixture of a test that has failed"]
    done = run_pytest(tmp_path, hang, "-p", "xdist", "-n", "1", "--max-worker-restart=0")
    assert done.returncode != 0
    assert "crashed while running" in done.stdout
