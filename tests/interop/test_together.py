"""Together with what functions have beside us: each answers early, holds its poll, and loses nothing of the other."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.fake_runtime_api import NEXT, PATIENCE, Exchange, FakeRuntimeApi, answer_path, reply, response
from tests.running import PREFIX, RUNNER, Gate, Running, plain_environment

from .conftest import FUNCTION, HANDLERS, NODE_HELPERS, PYTHON_CLIENT, node_environment, prefixed
from .matrix import TOGETHER
from .neighbours import Neighbour
from .obtain import NEWEST_NODE, node_client_in, node_in

SCRIPTS = Path(sys.executable).parent
SHOWN = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_SERVICE_NAME": "function",
    "OTEL_NODE_RESOURCE_DETECTORS": "env",  # the others ask addresses that are only there in clouds
}
"""Spans are written to standard output."""
ARN = ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:function")
OTEL_PYTHON = f'#!/bin/sh\nexec "{SCRIPTS}/opentelemetry-instrument" "$@"\n'
REGISTER = "--require @opentelemetry/auto-instrumentations-node/register"
OTEL_NODE = f'#!/bin/sh\nexport NODE_OPTIONS="$NODE_OPTIONS {REGISTER}"\nexec "$@"\n'


def executable(path: Path, text: str) -> str:
    """Write a script, and return where it is."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@dataclass(frozen=True)
class Scene:
    """A Runtime API, runners whose post commands wait at the gate, and the row of the table that is seen."""

    runtime_api: FakeRuntimeApi
    start: Start
    gate: Gate
    record: Callable[[str, object], None]

    def begin(self, neighbour: Neighbour) -> None:
        """Tell for which row of the table this is."""
        self.record("row", str(neighbour))
        self.record("column", TOGETHER)

    def start_python(
        self, handler: str, environment: Mapping[str, str] | None = None, *, runner: Sequence[str] = RUNNER
    ) -> Running:
        """Start a handler under awslambdaric."""
        variables = {**python_function(handler), **(environment or {})}
        return self.start(
            [*PYTHON_CLIENT, handler], runner=runner, environment=variables, COMMAND=self.gate.wait
        )

    def see_polls_held(self, runner: Running) -> None:
        """Two invocations are answered at once, and the poll after each waits until its command has ended."""
        for number in (1, 2):
            request_id = self.runtime_api.invoke(b'{"number": %d}' % number, headers=[ARN])
            answer = self.runtime_api.await_whole_request(answer_path(request_id))
            assert json.loads(answer.body) == {"number": number}
            runner.await_event("post-command-started", request_id)
            assert len(self.runtime_api.to(NEXT)) == number
            self.gate.release()
            ended = runner.await_event("post-command-ended", request_id)["time"]
            assert self.runtime_api.await_request(NEXT, nth=number + 1).received >= ended


@pytest.fixture
def scene(
    runtime_api: FakeRuntimeApi, start: Start, gate: Gate, record_property: Callable[[str, object], None]
) -> Scene:
    return Scene(runtime_api, start, gate, record_property)


def python_function(handler: str) -> dict[str, str]:
    """The environment of a handler under awslambdaric."""
    return {**FUNCTION, "PYTHONPATH": str(HANDLERS), "LAMBDA_TASK_ROOT": str(HANDLERS), "_HANDLER": handler}


def node_client(parts: Path) -> list[str]:
    """The command line of aws-lambda-ric."""
    return [str(node_in(parts, NEWEST_NODE)), str(node_client_in(parts))]


def node_function(handler: str, parts: Path) -> dict[str, str]:
    """The environment of a handler under aws-lambda-ric, with all packages in its reach."""
    reach = f"{NODE_HELPERS}:{parts / 'node_modules'}"
    return {**node_environment(HANDLERS, handler), "NODE_PATH": reach}


PLACES = pytest.mark.parametrize("place", ["behind", "before"])
"""Where the other's wrapper is, seen from us."""


@PLACES
def test_a_python_handler_that_opentelemetry_instruments_answers_early_and_tells_its_spans(
    scene: Scene, tmp_path: Path, place: str
) -> None:
    theirs = executable(tmp_path / "otel-instrument", OTEL_PYTHON)
    handler = "does_as_told.handler"
    if place == "behind":
        scene.begin(Neighbour.OTEL_PYTHON_BEHIND)
        runner = scene.start_python(handler, {**SHOWN, **prefixed({"NEXT_WRAPPER": theirs})})
    else:
        scene.begin(Neighbour.OTEL_PYTHON_BEFORE)
        runner = scene.start_python(handler, SHOWN, runner=[theirs, *RUNNER])
    scene.see_polls_held(runner)
    assert runner.stdout is not None
    runner.stdout.await_line(lambda line: '"faas.invocation_id":' in line, nth=2)


@PLACES
def test_a_node_handler_that_opentelemetry_instruments_answers_early_and_tells_its_spans(
    scene: Scene, parts: Path, tmp_path: Path, place: str
) -> None:
    if place == "behind":
        scene.begin(Neighbour.OTEL_NODE_BEHIND)
        theirs = executable(tmp_path / "otel-handler", OTEL_NODE)
        how = prefixed({"NEXT_WRAPPER": theirs})
    else:
        scene.begin(Neighbour.OTEL_NODE_BEFORE)
        how = {"NODE_OPTIONS": REGISTER}
    runner = scene.start(
        node_client(parts),
        environment={**node_function("pings.handler", parts), **SHOWN, **how},
        COMMAND=scene.gate.wait,
        AMBIENT="next",
    )
    scene.see_polls_held(runner)
    assert runner.stdout is not None
    runner.stdout.await_line(lambda line: "'url.full':" in line and line.endswith("/ping',"), nth=2)


class Extensions:
    """The Extensions API of a Runtime API: hands out events when the test says so."""

    def __init__(self, api: FakeRuntimeApi) -> None:
        self._api = api
        api.plan("/extension/register", reply(200, b"{}", [("Lambda-Extension-Identifier", "some-id")]))

    def next_event(self, kind: str) -> threading.Event:
        """Plan the next event; it is handed out when the event that is returned is set."""
        ready = threading.Event()

        def hand_out(exchange: Exchange) -> None:
            exchange.read_body()
            ready.wait(PATIENCE)
            exchange.send(response(200, json.dumps({"eventType": kind}).encode()))

        self._api.plan("/extension/event/next", hand_out)
        return ready


def test_an_extension_in_the_handlers_process_registers_through_us_and_hears_of_the_end(scene: Scene) -> None:
    scene.begin(Neighbour.INTERNAL_EXTENSION)
    shutdown = Extensions(scene.runtime_api).next_event("SHUTDOWN")
    runner = scene.start_python("extended.handler")
    registered = scene.runtime_api.await_whole_request("/extension/register")
    assert registered.get("Lambda-Extension-Name") == "inner"
    scene.see_polls_held(runner)
    waiting = scene.runtime_api.await_request("/extension/event/next")
    assert waiting.get("Lambda-Extension-Identifier") == "some-id"
    shutdown.set()
    runner.await_output("extension: SHUTDOWN")


def test_an_extension_beside_us_registers_and_hears_of_each_event(scene: Scene) -> None:
    scene.begin(Neighbour.EXTENSION)
    extensions = Extensions(scene.runtime_api)
    invoked, shutdown = extensions.next_event("INVOKE"), extensions.next_event("SHUTDOWN")
    environment = {**plain_environment(), "AWS_LAMBDA_RUNTIME_API": scene.runtime_api.address}
    with subprocess.Popen(
        [sys.executable, HANDLERS / "outer_extension.py"], env=environment, stdout=subprocess.PIPE, text=True
    ) as extension:
        assert extension.stdout is not None
        scene.runtime_api.await_request("/extension/event/next")  # Lambda starts the runtime only then
        runner = scene.start_python("does_as_told.handler")
        invoked.set()
        assert extension.stdout.readline() == "extension: INVOKE\n"
        scene.see_polls_held(runner)
        runner.signal(signal.SIGTERM)
        assert runner.wait() == 128 + signal.SIGTERM
        shutdown.set()
        assert extension.stdout.readline() == "extension: SHUTDOWN\n"
        assert extension.wait(PATIENCE) == 0


OUTER = f'export SAVED="${PREFIX}OBSERVER_FD"; unset {PREFIX}OBSERVER_FD; {PREFIX}MODE=WaitUntil exec "$@"'
INNER = f'export {PREFIX}OBSERVER_FD="$SAVED" {PREFIX}COMMAND="$GATE"; unset {PREFIX}MODE; exec "$@"'
"""Shells that start two runners, one within the other; only the inner one is observed and has a command."""


def test_a_proxy_before_us_is_our_runtime_api(scene: Scene) -> None:
    scene.begin(Neighbour.PROXY)
    handler = "does_as_told.handler"
    runner = scene.start(
        [*PYTHON_CLIENT, handler],
        runner=["sh", "-c", OUTER, "sh", *RUNNER, "sh", "-c", INNER, "sh", *RUNNER],
        environment={**python_function(handler), "GATE": scene.gate.wait},
    )
    scene.see_polls_held(runner)
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 128 + signal.SIGTERM


def logged(runner: Running, text: str) -> dict[str, object]:
    """What Powertools has logged with this message."""
    assert runner.stdout is not None
    line: dict[str, object] = json.loads(runner.stdout.await_line(lambda line: text in line))
    return line


def see_powertools(runner: Running, api: FakeRuntimeApi) -> None:
    """It logs before and after the answer, with the invocation's id, and its metrics are out before the next poll."""
    request_id = api.invoke(headers=[ARN])
    assert api.await_whole_request(answer_path(request_id)).body == b'"answered"'
    assert runner.process.stdin is not None
    runner.process.stdin.write(b"\n")
    runner.process.stdin.flush()
    ended = runner.await_event("waits-ended", request_id)["time"]
    assert api.await_request(NEXT, nth=2).received >= ended
    assert logged(runner, "before the answer")["function_request_id"] == request_id
    assert logged(runner, "after the answer")["function_request_id"] == request_id
    assert logged(runner, "CloudWatchMetrics")["finished"] in (1, [1])


def test_powertools_for_python_logs_and_counts_after_the_answer(scene: Scene) -> None:
    scene.begin(Neighbour.POWERTOOLS_PYTHON)
    handler = "logs_after.handler"
    runner = scene.start([*PYTHON_CLIENT, handler], environment=python_function(handler), MODE="WaitUntil")
    see_powertools(runner, scene.runtime_api)


def test_powertools_for_typescript_logs_and_counts_after_the_answer(scene: Scene, parts: Path) -> None:
    scene.begin(Neighbour.POWERTOOLS_NODE)
    environment = node_function("logs_after.handler", parts)
    runner = scene.start(node_client(parts), environment=environment, MODE="WaitUntil")
    see_powertools(runner, scene.runtime_api)
