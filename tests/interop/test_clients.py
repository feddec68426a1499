"""What holds with each runtime client: as without us, and as we promise. `clients` says which there are."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Start
from tests.fake_runtime_api import (
    INIT_ERROR,
    NEXT,
    PATIENCE,
    FakeRuntimeApi,
    answer_path,
    fake_runtime_api,
    reply,
)
from tests.running import RUNNER, Gate, Running

from .clients import CLIENTS, Check, Client
from .conftest import FUNCTION

HERE = Path(__file__).parent / "clients"
HOP_BY_HOP = ("connection", "upgrade", "http2-settings", "expect")
"""Headers that are between two neighbours, as is the 100 that we answer; Host is too, but has to be there."""

EVENT_HEADERS = [
    ("Lambda-Runtime-Deadline-Ms", "4102444800000"),
    ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:function"),
    ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"),
    ("Lambda-Runtime-Aws-Tenant-Id", "blue"),
    ("Lambda-Runtime-Invocation-Id", "0d3f2a6e"),
    ("X-Not-Known-Yet", "a, b"),
]
LARGE = b'{"filler":"' + b"x" * 6_000_000 + b'"}'


@dataclass(frozen=True)
class Ready:
    """A client that can be run here."""

    command: list[str]
    environment: dict[str, str]
    tells_acknowledgements: bool


@dataclass(frozen=True)
class Seen:
    """What both ends saw of a function until it ended."""

    requests: list[tuple[list[str], bytes, bytes]]
    """Head, body and trailers of each request that reached the Runtime API."""
    told: list[str]
    """What the client saw."""
    status: int


Script = Callable[[FakeRuntimeApi, Running], None]
"""What the Runtime API and the test do while a function runs, until it ends."""


def with_each_client(check: Check) -> pytest.MarkDecorator:
    """Run the test with every client, and note what comes of it in the matrix."""
    return pytest.mark.parametrize(
        "client",
        [(client, check) for client in CLIENTS],
        ids=[client.name for client in CLIENTS],
        indirect=True,
    )


@pytest.fixture
def client(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    parts: Path,
    tmp_path: Path,
) -> Ready:
    """The client of this row, or no test with the reason."""
    wanted, check = request.param
    record_property("row", wanted.name)
    record_property("column", str(check))
    if check in wanted.cannot:
        pytest.skip(wanted.cannot[check])
    return made_ready(wanted, parts, tmp_path)


def made_ready(client: Client, parts: Path, folder: Path) -> Ready:
    """Find the program and the files of a client; skip the test if one is missing."""

    def put(text: str) -> str:
        return text.replace("{parts}", str(parts)).replace("{here}", str(HERE))

    program, *arguments = map(put, client.command)
    for needed in map(put, client.needs):
        if not Path(needed).exists():
            pytest.skip(f"there is no {Path(needed).name} here")
    environment = {name: put(value) for name, value in client.environment.items()}
    given = {**FUNCTION, "TMPDIR": str(folder), **environment}
    return Ready([program_at(program, parts), *arguments], given, client.tells_acknowledgements)


def program_at(program: str, parts: Path) -> str:
    """The program itself; skip the test if there is none."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:{parts / 'debian'}")
    if found is None:
        pytest.skip(f"there is no {Path(program).name} here")
    if "shims" not in Path(found).parts:
        return found
    # pyenv's shims choose an interpreter, or say that it is not among those that are switched on.
    chosen = subprocess.run(
        [found, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
    )
    if chosen.returncode:
        pytest.skip(f"there is no {Path(program).name} here")
    return chosen.stdout.strip()


def lines_of(head: bytes, address: str) -> list[str]:
    """Return a head's lines as they came, without what is between neighbours.

    Lines of one name keep their order, in which they have a meaning; those of different names have none.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    kept = [line for line in lines if line.partition(":")[0].lower() not in HOP_BY_HOP]
    told = [f"Host: {address}" if line.lower().startswith("host:") else line for line in kept]
    return [first, *sorted(told, key=lambda line: line.partition(":")[0].lower())]


def told_by(running: Running) -> list[str]:
    """The lines in which the client says what it saw."""
    assert running.stdout is not None
    running.stdout.finish()
    return [line for line in running.stdout.lines if line.startswith("saw")]


class Compare:
    """Runs a client without us and with us, through the same script."""

    def __init__(self, start: Start, client: Ready) -> None:
        self._start = start
        self._client = client

    def run(self, script: Script, **environment: str) -> Seen:
        """What was seen, which is the same with us and without us."""
        without = self._seen((), script, environment)
        with_us = self._seen(RUNNER, script, environment)
        # Without us, a poll of aws-lambda-ric may overtake the streamed answer before it.
        assert sorted(with_us.requests) == sorted(without.requests)
        assert with_us.told == without.told
        assert with_us.status == without.status
        return with_us

    def _seen(self, runner: Any, script: Script, environment: dict[str, str]) -> Seen:
        with fake_runtime_api() as api:
            running = self._start(
                self._client.command,
                runner=runner,
                runtime_api_at=api.address,
                environment={**self._client.environment, **environment},
                COMMAND=":",
            )
            script(api, running)
            running.process.wait(PATIENCE)
            api.close_connections()  # ends what the client leaves behind, such as the curl of bash
            status = running.wait()
            requests = [
                (lines_of(each.head, "the Runtime API"), bytes(each.body), each.trailers)
                for each in api.requests
            ]
            return Seen(requests, told_by(running), status)


@pytest.fixture
def compare(start: Start, client: Ready) -> Compare:
    return Compare(start, client)


def invoke(api: FakeRuntimeApi, number: int, body: bytes) -> str:
    """An event that is the same in every run."""
    return api.invoke(body, request_id=f"request-{number}", seconds=None, headers=EVENT_HEADERS)


def invoke_and_exit(api: FakeRuntimeApi, *bodies: bytes) -> None:
    """Events one after another, each when the one before is answered, and then the one that ends the function."""
    for number, body in enumerate(bodies):
        request_id = invoke(api, number, body)
        api.wait_for(lambda: is_answered(api, request_id), f"the answer to {body!r}")  # noqa: B023 - called here
    invoke(api, len(bodies), b'{"do":"exit"}')


def is_answered(api: FakeRuntimeApi, request_id: str) -> bool:
    """Whether a whole answer has come to this event."""
    return any(each.whole and f"/{request_id}/" in each.target for each in api.requests)


@with_each_client(Check.SAME)
def test_requests_and_answers_are_the_same_as_without_us(compare: Compare) -> None:
    def script(api: FakeRuntimeApi, _running: Running) -> None:
        invoke_and_exit(api, b'{"number": 1}', b'{"do":"fail"}', b'{"number": 2}')

    seen = compare.run(script)
    targets = [head[0].split()[1] for head, _, _ in seen.requests]
    assert targets[::2] == [NEXT] * 4
    assert targets[1::4] == [answer_path("request-0"), answer_path("request-2")]
    # The last one is of clients that stream, and then the error is in the trailers.
    assert targets[3] in (answer_path("request-1", "error"), answer_path("request-1"))
    assert json.loads(seen.requests[1][1]) == {"number": 1}
    assert seen.told


@with_each_client(Check.REFUSED)
def test_a_refused_answer_has_the_same_consequences_as_without_us(compare: Compare) -> None:
    """Some clients end then; others go on with the next event."""

    def script(api: FakeRuntimeApi, _running: Running) -> None:
        refusal = (
            b'{"errorMessage":"Exceeded maximum allowed payload size","errorType":"RequestEntityTooLarge"}'
        )
        api.plan("/response", reply(413, refusal, [("Content-Type", "application/json")]))
        invoke(api, 0, b'{"number": 1}')
        invoke(api, 1, b'{"do":"exit"}')

    seen = compare.run(script)
    assert seen.status in (1, 7)


@with_each_client(Check.INIT_ERROR)
def test_an_init_error_and_the_status_after_it_are_the_same_as_without_us(compare: Compare) -> None:
    def script(api: FakeRuntimeApi, _running: Running) -> None:
        api.await_whole_request(INIT_ERROR)

    seen = compare.run(script, FAILS="yes")
    assert seen.status
    assert seen.requests[0][0][0].startswith(f"POST {INIT_ERROR} ")


@with_each_client(Check.EXIT)
def test_a_handler_that_exits_while_it_works_ends_us_with_its_status(compare: Compare) -> None:
    assert compare.run(lambda api, _running: invoke_and_exit(api)).status == 7


@with_each_client(Check.SIGTERM)
def test_sigterm_ends_a_client_that_polls_as_without_us(compare: Compare) -> None:
    def script(api: FakeRuntimeApi, running: Running) -> None:
        invoke(api, 0, b'{"number": 1}')
        api.await_request(NEXT, nth=2)
        running.signal(signal.SIGTERM)

    assert compare.run(script).status


@with_each_client(Check.LARGE)
def test_6_mb_pass_both_ways(compare: Compare) -> None:
    seen = compare.run(lambda api, _running: invoke_and_exit(api, LARGE))
    assert json.loads(seen.requests[1][1]) == json.loads(LARGE)


@pytest.fixture
def held(start: Start, client: Ready, gate: Gate) -> Running:
    """A function whose post command waits at the gate."""
    return start(client.command, environment=client.environment, COMMAND=gate.wait)


@with_each_client(Check.EARLY)
def test_caller_and_client_have_their_answers_before_the_command_ends(
    client: Ready, held: Running, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    request_id = runtime_api.invoke(b'{"number": 1}')
    answer = runtime_api.await_whole_request(answer_path(request_id))
    assert json.loads(answer.body) == {"number": 1}
    held.await_event("post-command-started", request_id)
    if client.tells_acknowledgements:
        held.await_output("saw 202 ")
    assert not held.events("post-command-ended")
    gate.release()
    held.await_event("post-command-ended", request_id)


@with_each_client(Check.HELD)
def test_the_next_poll_comes_when_the_command_has_ended(
    held: Running, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    for number in range(1, 4):
        request_id = runtime_api.invoke(b'{"number": 1}')
        held.await_event("post-command-started", request_id)
        assert len(runtime_api.to(NEXT)) == number
        gate.release()
        ended = held.await_event("post-command-ended", request_id)["time"]
        assert runtime_api.await_request(NEXT, nth=number + 1).received >= ended


@with_each_client(Check.TICKS)
def test_a_thread_of_the_clients_runs_on_while_the_command_runs(
    held: Running, runtime_api: FakeRuntimeApi, gate: Gate
) -> None:
    request_id = runtime_api.invoke(b'{"number": 1}')
    held.await_event("post-command-started", request_id)
    assert held.stdout is not None
    before = held.stdout.lines.count("tick")
    held.stdout.await_line(lambda line: line == "tick", nth=before + 5)
    assert not held.events("post-command-ended")
    gate.release()
    held.await_event("post-command-ended", request_id)


def let_go_on(running: Running) -> None:
    """Write the line for which a function waits that streams."""
    assert running.process.stdin is not None
    running.process.stdin.write(b"\n")
    running.process.stdin.flush()


def begin_and_let_go_on(api: FakeRuntimeApi, running: Running, event: bytes) -> None:
    """Let the function write the rest only when its first piece has arrived; then end it."""
    answer = api.await_request(answer_path(invoke(api, 0, event)))
    api.wait_for(lambda: bytes(answer.body) == b"one", "the first piece")
    let_go_on(running)
    api.await_whole_request(answer_path("request-0"))
    invoke(api, 1, b'{"do":"exit"}')


@with_each_client(Check.STREAMS)
def test_each_piece_of_a_streamed_answer_passes_before_the_next_is_written(compare: Compare) -> None:
    seen = compare.run(lambda api, running: begin_and_let_go_on(api, running, b'{"do":"stream"}'))
    _, body, _ = seen.requests[1]
    assert body == b"onetwo"


@with_each_client(Check.BREAKS)
def test_an_error_in_the_middle_of_a_stream_arrives_in_its_trailers(compare: Compare) -> None:
    seen = compare.run(lambda api, running: begin_and_let_go_on(api, running, b'{"do":"break"}'))
    _, body, trailers = seen.requests[1]
    assert body == b"one"
    assert b"lambda-runtime-function-error-type" in trailers.lower()
    assert b"lambda-runtime-function-error-body" in trailers.lower()
