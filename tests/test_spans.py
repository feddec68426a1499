"""With SPANS=otlp the post work of a traced invocation is a span, and a receiver in trouble changes nothing else."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from .conftest import Prepare
from .fake_runtime_api import PATIENCE, Exchange, FakeRuntimeApi, Script, fake_runtime_api, hang_up, reply
from .running import Gate, HandlerConnection, Stage

TRACES = "/v1/traces"
TAKEN = reply(200, b"{}")
TRACE_ID, PARENT_ID = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
TRACED = [
    ("Lambda-Runtime-Trace-Id", f"Root=1-5759e988-bd862e3fe1be46a994272793;Parent={PARENT_ID};Sampled=1")
]


@pytest.fixture
def receiver() -> Iterator[FakeRuntimeApi]:
    """Something that speaks HTTP; what it answers is planned."""
    with fake_runtime_api() as api:
        yield api


def sending_to(prepare: Prepare, address: str, timeout: str = "60000", **settings: str) -> Stage:
    """A stage whose spans go to this address."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": timeout,
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
    }
    given = {f"AWS_LAMBDA_POST_RUNNER_{name}": value for name, value in settings.items()}
    return prepare(environment=variables | given, SPANS="otlp")


def invoke(stage: Stage, handler: HandlerConnection, **event: Any) -> str:
    request_id = stage.next_invocation(handler, headers=TRACED, **event)
    assert handler.answer(request_id).status == 202
    return request_id


def span_in(body: bytearray) -> dict[str, Any]:
    [resource] = json.loads(body)["resourceSpans"]
    [scope] = resource["scopeSpans"]
    [span] = scope["spans"]
    assert isinstance(span, dict)
    return span


def attributes_of(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_the_span_is_the_post_work_under_the_invocations_trace(
    prepare: Prepare, receiver: FakeRuntimeApi
) -> None:
    receiver.plan(TRACES, TAKEN)
    stage = sending_to(prepare, receiver.address)
    request_id = invoke(stage, stage.runner.connect())
    span = span_in(receiver.await_whole_request(TRACES).body)
    assert (span["traceId"], span["parentSpanId"]) == (TRACE_ID, PARENT_ID)
    assert span["status"] == {"code": 0}
    settled, ended = (stage.runner.await_event(name)["time"] for name in ("settled", "post-command-ended"))
    assert abs(int(span["startTimeUnixNano"]) / 1e9 - settled) < 1
    assert int(span["endTimeUnixNano"]) / 1e9 >= ended - 0.01
    assert attributes_of(span) == {
        "faas.invocation_id": request_id,
        "faas.coldstart": True,
        "post_runner.outcome": "response",
        "post_runner.exit_status": "0",
        "post_runner.retries": "0",
        "post_runner.spilled": False,
    }


@pytest.mark.parametrize(
    ("commands", "timeout", "said"),
    [
        ("exit 3", "", {"post_runner.exit_status": "3", "post_runner.loss": "failed"}),
        ("kill -9 $$", "", {"post_runner.signal": "9", "post_runner.loss": "failed"}),
        ("exec sleep 60", "200ms", {"post_runner.cut_off_by": "timeout", "post_runner.loss": "cut-off"}),
    ],
)
def test_what_went_wrong_is_the_spans_status(
    prepare: Prepare, receiver: FakeRuntimeApi, commands: str, timeout: str, said: dict[str, str]
) -> None:
    receiver.plan(TRACES, TAKEN)
    stage = sending_to(prepare, receiver.address, TIMEOUT=timeout)
    stage.run_after(commands)
    invoke(stage, stage.runner.connect())
    span = span_in(receiver.await_whole_request(TRACES).body)
    assert span["status"] == {"code": 2, "message": f"the post command: {said['post_runner.loss']}"}
    assert said.items() <= attributes_of(span).items()


def test_waits_are_part_of_the_span(prepare: Prepare, receiver: FakeRuntimeApi) -> None:
    receiver.plan(TRACES, TAKEN)
    stage = sending_to(prepare, receiver.address, MODE="WaitUntil", TIMEOUT="200ms")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, headers=TRACED)
    handler.exchange("POST", "/post-runner/v1/invocation/current/wait")
    handler.answer(request_id)
    span = span_in(receiver.await_whole_request(TRACES).body)
    assert span["status"] == {"code": 2, "message": "1 of the handler's waits did not end"}
    assert attributes_of(span)["post_runner.expired_waits"] == "1"


@pytest.mark.parametrize("sampled", ["0", ""])
def test_an_invocation_that_is_not_sampled_has_no_span(
    prepare: Prepare, receiver: FakeRuntimeApi, sampled: str
) -> None:
    receiver.plan(TRACES, TAKEN)
    stage = sending_to(prepare, receiver.address)
    handler = stage.runner.connect()
    header = ("Lambda-Runtime-Trace-Id", TRACED[0][1].replace("Sampled=1", f"Sampled={sampled}"))
    handler.answer(stage.next_invocation(handler, headers=[header]))
    request_id = invoke(stage, handler)
    receiver.await_whole_request(TRACES)
    assert [attributes_of(span_in(each.body))["faas.invocation_id"] for each in receiver.requests] == [
        request_id
    ]


def test_a_poll_is_held_for_a_receiver_that_takes_spans_until_it_has_taken_this_one(
    prepare: Prepare, receiver: FakeRuntimeApi
) -> None:
    go_on = threading.Event()

    def take_when_told(exchange: Exchange) -> None:
        exchange.read_body()
        assert go_on.wait(PATIENCE)
        TAKEN(exchange)

    receiver.plan(TRACES, TAKEN, take_when_told)
    stage = sending_to(prepare, receiver.address)
    handler = stage.runner.connect()
    trust(stage, handler)
    handler.send_poll()
    receiver.await_whole_request(TRACES, nth=2)
    relayed = len(stage.runner.events("poll-relayed"))
    go_on.set()
    stage.runner.await_event("poll-relayed", nth=relayed + 1)


def trust(stage: Stage, handler: HandlerConnection) -> None:
    """Have a first span taken, and a second one sent."""
    invoke(stage, handler)
    assert stage.runner.await_event("span-sent")["problem"] is None
    invoke(stage, handler)


def never_answer(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.wait_until_peer_is_gone()


@pytest.mark.parametrize("script", [never_answer, hang_up, reply(503)], ids=["hangs", "hangs up", "refuses"])
def test_a_receiver_that_never_took_a_span_delays_no_poll(
    prepare: Prepare, receiver: FakeRuntimeApi, script: Script
) -> None:
    """Its timeout is a minute, and ten invocations are over long before."""
    receiver.plan(TRACES, *[script] * 10)
    stage = sending_to(prepare, receiver.address)
    handler = stage.runner.connect()
    for _ in range(10):
        request_id = invoke(stage, handler)
        assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert receiver.to(TRACES)


def test_a_receiver_that_dies_is_waited_for_once_and_complained_of_once(
    prepare: Prepare, receiver: FakeRuntimeApi
) -> None:
    receiver.plan(TRACES, TAKEN, *[never_answer] * 10)
    stage = sending_to(prepare, receiver.address, timeout="300")
    handler = stage.runner.connect()
    trust(stage, handler)
    for _ in range(5):
        invoke(stage, handler)
    complaints = [line for line in stage.runner.stderr.lines if "spans are not taken" in line]
    assert len(complaints) == 1
    assert complaints[0].endswith(f"{receiver.address}: it did not answer within 300 ms")


def test_a_signal_ends_what_is_waited_for_a_receiver_that_hangs(
    prepare: Prepare, receiver: FakeRuntimeApi
) -> None:
    """Its timeout is a minute, and the runner has ended long before."""
    receiver.plan(TRACES, TAKEN, never_answer)
    stage = sending_to(prepare, receiver.address)
    trust(stage, stage.runner.connect())
    receiver.await_whole_request(TRACES, nth=2)
    stage.runner.signal(signal.SIGTERM)
    stage.runner.wait()


def test_the_span_of_what_a_signal_cuts_off_is_sent_and_not_waited_for_long(
    prepare: Prepare, receiver: FakeRuntimeApi, gate: Gate
) -> None:
    """Its timeout is a minute here, too."""
    receiver.plan(TRACES, TAKEN, never_answer)
    stage = sending_to(prepare, receiver.address)
    handler = stage.runner.connect()
    invoke(stage, handler)
    assert stage.runner.await_event("span-sent")["problem"] is None
    stage.run_after(gate.wait)
    request_id = invoke(stage, handler)
    stage.runner.await_event("post-command-started", request_id)
    stage.runner.signal(signal.SIGTERM)
    stage.runner.wait()
    span = span_in(receiver.to(TRACES)[1].body)
    assert attributes_of(span)["post_runner.cut_off_by"] == "shutdown"


def test_a_dead_receiver_is_complained_of_once_and_the_function_goes_on(prepare: Prepare) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    stage = sending_to(prepare, address)
    handler = stage.runner.connect()
    for _ in range(5):
        request_id = invoke(stage, handler)
        assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    line = stage.runner.stderr.await_line(lambda line: "spans are not taken" in line)
    assert "refused" in line
    assert len([line for line in stage.runner.stderr.lines if "spans" in line]) == 1


def test_an_endpoint_that_cannot_be_used_is_said_and_the_function_goes_on(prepare: Prepare) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318"}
    stage = prepare(environment=variables, SPANS="otlp")
    handler = stage.runner.connect()
    invoke(stage, handler)
    stage.next_invocation(handler)
    stage.runner.stderr.await_line(lambda line: "SPANS does nothing: the endpoint 'https://" in line)


def test_without_the_setting_no_span_is_sent(prepare: Prepare, receiver: FakeRuntimeApi) -> None:
    stage = prepare(environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}"})
    handler = stage.runner.connect()
    invoke(stage, handler)
    stage.next_invocation(handler)
    assert receiver.requests == []


def test_where_opentelemetry_is_switched_off_no_span_is_sent_and_nothing_is_said(
    prepare: Prepare, receiver: FakeRuntimeApi
) -> None:
    variables = {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}",
    }
    stage = prepare(environment=variables, SPANS="otlp")
    handler = stage.runner.connect()
    invoke(stage, handler)
    stage.next_invocation(handler)
    assert receiver.requests == []
    assert stage.runner.stderr.lines == []
