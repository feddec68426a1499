"""The span of post work: whose trace it joins, where it goes, and that OpenTelemetry's own types read it."""

import json

import pytest

from aws_lambda_post_runner.post.span import (
    Parent,
    PostSpan,
    Receiver,
    UnusableReceiver,
    document,
    parent_of,
    read_receiver,
)

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TRACE_ID = "5759e988bd862e3fe1be46a994272793"
PARENT_ID = "53995c3f42cd8ad8"


def receiver(**environ: str) -> Receiver:
    """Where these variables want spans sent."""
    found = read_receiver(environ)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "header",
    [
        f"Root={ROOT};Parent={PARENT_ID};Sampled=1",
        f"Root={ROOT};Parent={PARENT_ID};Sampled=1;Lineage=1:a1b2c3d4:0",
        f"Sampled=1; Root={ROOT}; Parent={PARENT_ID}",
    ],
)
def test_the_trace_of_the_invocation_is_joined(header: str) -> None:
    assert parent_of(header) == Parent(TRACE_ID, PARENT_ID)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"Root={ROOT};Parent={PARENT_ID};Sampled=0",
        f"Root={ROOT};Parent={PARENT_ID}",
        f"Root={ROOT};Sampled=1",
        f"Root=2{ROOT[1:]};Parent={PARENT_ID};Sampled=1",
        f"Root={ROOT.upper()};Parent={PARENT_ID};Sampled=1",
        "nonsense;;=",
    ],
)
def test_without_a_sampled_trace_there_is_no_span(header: str) -> None:
    assert parent_of(header) is None


@pytest.mark.parametrize(
    ("environ", "address", "path"),
    [
        ({}, ("localhost", 4318), "/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, ("collector", 4318), "/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector/base/"}, ("collector", 80), "/base/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:99/in?k=v"}, ("127.0.0.1", 99), "/in?k=v"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1]:99"}, ("::1", 99), "/"),
    ],
)
def test_spans_go_where_opentelemetrys_variables_say(
    environ: dict[str, str], address: tuple[str, int], path: str
) -> None:
    found = receiver(**environ)
    assert (found.address, found.path) == (address, path)


@pytest.mark.parametrize(
    "endpoint", ["https://collector", "collector:4318", "http://", "http://a:b", "ftp://a", "http://a b\n"]
)
def test_an_endpoint_that_cannot_be_used_is_named(endpoint: str) -> None:
    with pytest.raises(UnusableReceiver, match="endpoint"):
        read_receiver({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint})


def test_the_headers_are_the_standard_ones_and_can_break_no_request() -> None:
    text = "api-key=abc, tenant=a%20b,broken,evil=a%0D%0Ab,bad name=x"
    assert receiver(OTEL_EXPORTER_OTLP_HEADERS=text).headers == (("api-key", "abc"), ("tenant", "a b"))
    assert receiver(OTEL_EXPORTER_OTLP_HEADERS="a=1", OTEL_EXPORTER_OTLP_TRACES_HEADERS="b=2").headers == (
        ("b", "2"),
    )


@pytest.mark.parametrize(("text", "seconds"), [("250", 0.25), ("", 0.5), ("soon", 0.5), ("-1", 0.5)])
def test_the_timeout_is_the_standard_one_in_ms_and_short_by_default(text: str, seconds: float) -> None:
    assert receiver(OTEL_EXPORTER_OTLP_TIMEOUT=text).timeout == seconds


def test_opentelemetry_switched_off_is_off_here_as_well() -> None:
    assert read_receiver({"OTEL_SDK_DISABLED": "true"}) is None


def test_the_resource_describes_the_function_and_takes_what_the_user_adds() -> None:
    found = receiver(
        AWS_LAMBDA_FUNCTION_NAME="orders",
        AWS_REGION="eu-west-1",
        OTEL_RESOURCE_ATTRIBUTES="team=blue,service.name=lost",
        OTEL_SERVICE_NAME="shop",
    )
    resource = dict(found.resource)
    assert resource["service.name"] == "shop"
    assert (resource["faas.name"], resource["team"]) == ("orders", "blue")


def exported(problem: str = "") -> bytes:
    span = PostSpan(
        Parent(TRACE_ID, PARENT_ID), 1000.5, 1001.25, problem, {"a.text": "x", "a.number": 7, "a.flag": True}
    )
    return document(span, receiver(AWS_LAMBDA_FUNCTION_NAME="orders"))


def test_the_document_says_what_happened() -> None:
    [resource] = json.loads(exported("cut off"))["resourceSpans"]
    [span] = resource["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["parentSpanId"]) == (TRACE_ID, PARENT_ID)
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1000500000000", "1001250000000")
    assert span["status"] == {"code": 2, "message": "cut off"}
    assert {each["key"]: each["value"] for each in span["attributes"]} == {
        "a.text": {"stringValue": "x"},
        "a.number": {"intValue": "7"},
        "a.flag": {"boolValue": True},
    }


def test_opentelemetrys_own_types_read_the_document() -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    request = service.ExportTraceServiceRequest()
    json_format.Parse(exported(), request)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    assert span.name == "post work"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 750_000_000
    assert len(span.attributes) == 3
