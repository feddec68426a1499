"""The executable starts from its snapshot wherever it can, and as Python always does where it cannot."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import aws_lambda_post_runner

from .conftest import Start
from .fake_runtime_api import FakeRuntimeApi
from .running import Running

pytestmark = pytest.mark.skipif(
    "LAYERS" not in os.environ,
    reason="`nox -s layer` builds the executables, `nox -s layer_tests` tests them",
)

THIS_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
EXECUTABLE = str(
    Path(os.environ.get("LAYERS", "."))
    / f"aws-lambda-post-runner-{aws_lambda_post_runner.__version__}-{THIS_MACHINES}"
)
REFUSING = Path(__file__).parent / "layer_refusing.c"
LIMITED = ["sh", "-c", 'ulimit -v "$0" && exec "$@"']
HOW_IT_WENT = "started without the snapshot"


@pytest.fixture(scope="session")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the program, and the library, that make the snapshot's address impossible."""
    folder = tmp_path_factory.mktemp("refusing")
    for options in (["-o", "program"], ["-DAS_LIBRARY", "-shared", "-fPIC", "-o", "library.so"]):
        compiler = [sys.executable, "-m", "ziglang", "cc", "-O1", str(REFUSING), *options]
        subprocess.run(compiler, cwd=folder, check=True)
    return folder


def relay_an_invocation_and_its_command(running: Running, runtime_api: FakeRuntimeApi) -> None:
    """See an invocation through, and its post command."""
    handler = running.connect()
    request_id = runtime_api.invoke(b"{}")
    assert handler.poll() == request_id
    assert handler.answer(request_id).status == 202
    assert running.await_event("post-command-ended")["exitStatus"] == 0
    handler.send_poll()


def test_it_starts_from_the_snapshot(start: Start, runtime_api: FakeRuntimeApi) -> None:
    running = start(runner=[EXECUTABLE], COMMAND="true", LOG_LEVEL="debug")
    relay_an_invocation_and_its_command(running, runtime_api)
    assert HOW_IT_WENT not in running.stderr.text


def test_it_starts_without_the_snapshot_where_seccomp_refuses_the_address(
    start: Start, runtime_api: FakeRuntimeApi, refusing: Path
) -> None:
    running = start(runner=[str(refusing / "program"), EXECUTABLE], COMMAND="true", LOG_LEVEL="debug")
    relay_an_invocation_and_its_command(running, runtime_api)
    assert f"{HOW_IT_WENT}, which takes longer: its memory cannot be mapped" in running.stderr.text


def test_it_starts_without_the_snapshot_where_the_address_is_in_use(
    start: Start, runtime_api: FakeRuntimeApi, refusing: Path
) -> None:
    running = start(
        runner=[EXECUTABLE],
        environment={"LD_PRELOAD": str(refusing / "library.so")},
        COMMAND="true",
        LOG_LEVEL="debug",
    )
    relay_an_invocation_and_its_command(running, runtime_api)
    assert f"{HOW_IT_WENT}, which takes longer: its memory cannot be mapped" in running.stderr.text


def test_without_debug_nothing_is_said_of_a_start_without_the_snapshot(
    start: Start, runtime_api: FakeRuntimeApi, refusing: Path
) -> None:
    running = start(runner=[str(refusing / "program"), EXECUTABLE], COMMAND="true")
    relay_an_invocation_and_its_command(running, runtime_api)
    assert running.stderr.text == ""


@pytest.mark.parametrize("kibibytes", [60_000, 120_000])
def test_it_runs_with_little_room_for_addresses(
    kibibytes: int, start: Start, runtime_api: FakeRuntimeApi
) -> None:
    running = start(runner=[*LIMITED, str(kibibytes), EXECUTABLE], COMMAND="true")
    relay_an_invocation_and_its_command(running, runtime_api)


def test_where_there_is_no_room_for_the_heap_it_says_that_memory_is_short() -> None:
    """It tries the ordinary start first, which needs about as much."""
    statuses = set()
    for kibibytes in range(16_000, 40_000, 4_000):
        command = [*LIMITED, str(kibibytes), EXECUTABLE, "--version"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        statuses.add(done.returncode)
        assert done.returncode == 0 or "Error" in done.stderr, (kibibytes, done)
    assert statuses == {0, 1}


def test_it_starts_with_closed_standard_streams(tmp_path: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    handler = ["sh", "-c", f"echo handled > {tmp_path}/said"]
    environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9", "AWS_LAMBDA_POST_RUNNER_COMMAND": "true"}
    done = subprocess.run([*closed, EXECUTABLE, *handler], env=environment, check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "said").read_text(encoding="utf-8") == "handled\n"


def test_it_starts_with_an_empty_environment_and_the_handlers_is_empty_too() -> None:
    done = subprocess.run(
        [EXECUTABLE, "/usr/bin/env"], env={}, check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_100_start_at_once() -> None:
    started = [
        subprocess.Popen([EXECUTABLE, "--version"], stdout=subprocess.PIPE, text=True) for _ in range(100)
    ]
    said = {each.communicate(timeout=60)[0] for each in started}
    assert {each.returncode for each in started} == {0}
    assert len(said) == 1
