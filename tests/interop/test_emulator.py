"""Through the runtime interface emulator, as its own log shows it."""

import os
import socket
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.fake_runtime_api import PATIENCE
from tests.running import PREFIX, RUNNER, Collector, plain_environment, wait_until

from .conftest import HANDLERS, PYTHON_CLIENT

INVOCATIONS = "/2015-03-31/functions/function/invocations"
POLL = "API request - GET /2018-06-01/runtime/invocation/next"


def free_address() -> str:
    """An address that nobody had a moment ago; the emulator cannot choose one itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Emulator:
    """The emulator with a runner and awslambdaric in it, and its log."""

    def __init__(self, program: Path, handler: str, command: str) -> None:
        self._address = free_address()
        output, told = os.pipe()
        addresses = [
            *("--runtime-interface-emulator-address", self._address),
            *("--runtime-api-address", free_address()),
        ]
        self._process = subprocess.Popen(
            [program, "--log-level", "debug", *addresses, *RUNNER, *PYTHON_CLIENT, handler],
            env={**plain_environment(), "PYTHONPATH": str(HANDLERS), PREFIX + "COMMAND": command},
            stdout=told,
            stderr=told,
        )
        os.close(told)
        self.log = Collector(output)

    def invoke(self) -> bytes:
        """Invoke the function and return what the caller gets."""
        wait_until(self._listens, "the start of the emulator")
        with closing(HTTPConnection(self._address, timeout=PATIENCE)) as connection:
            connection.request("POST", INVOCATIONS, b"{}")
            return connection.getresponse().read()

    def _listens(self) -> bool:
        host, _, port = self._address.partition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self.log.finish()


@pytest.fixture
def log(emulator: Path) -> list[str]:
    """The log of three invocations with a command of half a second."""
    command = f'echo "begun ${PREFIX}REQUEST_ID"; sleep 0.5; echo "ended ${PREFIX}REQUEST_ID"'
    with closing(Emulator(emulator, "ticker.handler", command)) as running:
        for _ in range(3):
            assert running.invoke().startswith(b"[")
    return running.log.lines


def test_each_command_runs_between_its_response_and_the_next_poll(log: list[str]) -> None:
    lines = [line.split("(rapid) ")[-1].split(", Headers")[0] for line in log]
    told = [line for line in lines if line.startswith(("API request", "begun", "ended"))]
    ids = [line.split()[1] for line in told if line.startswith("begun")]
    assert len(set(ids)) == 3
    expected = [POLL]
    for request_id in ids:
        response = f"API request - POST /2018-06-01/runtime/invocation/{request_id}/response"
        expected += [response, f"begun {request_id}", f"ended {request_id}", POLL]
    assert told == expected
    print(*told, sep="\n")
