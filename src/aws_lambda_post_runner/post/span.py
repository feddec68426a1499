"""A span of the post work, under the trace that the invocation belongs to, as an OTLP document. Pure: no IO.

Where it is sent is told by OpenTelemetry's own variables
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/), the document is OTLP's JSON
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SCOPE = "aws-lambda-post-runner"
_DEFAULT_ENDPOINT = "http://localhost:4318"
_TRACES = "/v1/traces"
_DEFAULT_TIMEOUT = 0.5
"""Seconds. OpenTelemetry's own default, 10 s, would hold the environment for as long where a receiver hangs."""

_INTERNAL = 1
_STATUS_UNSET, _STATUS_ERROR = 0, 2

_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")


class UnusableReceiver(Exception):
    """Spans are wanted, and cannot be sent to where the variables say. The text says why, for a line."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where spans are sent."""

    address: tuple[str, int]
    host: str
    """As it stands in the endpoint, for the request's head."""
    path: str
    headers: tuple[tuple[str, str], ...]
    timeout: float
    """Seconds for one document."""
    resource: tuple[tuple[str, str], ...]
    """What describes the function, with each document."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The trace of an invocation, and the span that the new one is put under."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class PostSpan:
    """The post work of one invocation. Times are in seconds since 1970."""

    parent: Parent
    began: float
    ended: float
    problem: str
    """Why it counts as failed, in words; empty if it does not."""
    attributes: Mapping[str, str | int | bool]


def read_receiver(environ: Mapping[str, str]) -> Receiver | None:
    """Where OpenTelemetry's variables want spans sent; None if they want none. Raises UnusableReceiver."""
    if environ.get("OTEL_SDK_DISABLED", "").casefold() == "true":
        return None
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if not endpoint:
        # The general endpoint is a base, to which each signal adds its own path; that of the traces is whole.
        endpoint = (environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/") + _TRACES
    address, host, path = _parse_endpoint(endpoint)
    pairs = _pairs(_of_traces(environ, "HEADERS"))
    return Receiver(
        address=address,
        host=host,
        path=path,
        headers=tuple((name, value) for name, value in pairs.items() if _can_be_sent(name, value)),
        timeout=_timeout(_of_traces(environ, "TIMEOUT")),
        resource=tuple(_resource(environ).items()),
    )


def _parse_endpoint(endpoint: str) -> tuple[tuple[str, int], str, str]:
    """Address, host and path of a URL. Raises UnusableReceiver."""
    try:
        url = urlsplit(endpoint)
        port = url.port or 80
    except ValueError:
        raise UnusableReceiver(f"the endpoint {endpoint!r} is not a URL") from None
    if url.scheme == "https":
        raise UnusableReceiver(f"the endpoint {endpoint!r} wants TLS, which we do not speak; valid: http://…")
    if url.scheme != "http" or not url.hostname or not endpoint.isprintable() or not endpoint.isascii():
        raise UnusableReceiver(f"the endpoint is {endpoint!r}; valid: http://host:port")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return (url.hostname, port), url.netloc.rpartition("@")[2], path


def _of_traces(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _pairs(text: str) -> dict[str, str]:
    """Pairs such as `api-key=abc,tenant=a%20b`, which is the form of W3C's baggage."""
    parts = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name.strip(): unquote(value.strip()) for name, _, value in parts if name.strip()}


def _can_be_sent(name: str, value: str) -> bool:
    """Tell whether it makes a line of a request's head, and no more than one."""
    return (name + value).isascii() and (name + value).isprintable() and not set(name) & set(' ":,;()[]{}')


def _timeout(text: str) -> float:
    return int(text) / 1000 if text.isdecimal() and len(text) < 10 else _DEFAULT_TIMEOUT


def _resource(environ: Mapping[str, str]) -> dict[str, str]:
    """What the semantic conventions for functions as a service ask for, and what the user has added."""
    function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    known = {
        "service.name": function_name or "unknown_service",
        "cloud.provider": "aws",
        "cloud.region": environ.get("AWS_REGION", ""),
        "faas.name": function_name,
        "faas.version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        "faas.instance": environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        **_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if environ.get("OTEL_SERVICE_NAME"):
        known["service.name"] = environ["OTEL_SERVICE_NAME"]
    return {name: value for name, value in known.items() if value}


def parent_of(trace_header: str) -> Parent | None:
    """The W3C ids of an X-Ray trace header, as OpenTelemetry maps them; None if it is not sampled, or not one.

    `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`: the trace's id is the root's
    time and number in one (https://opentelemetry.io/docs/specs/otel/context/api-propagators/, X-Ray).
    """
    fields = dict(part.strip().partition("=")[::2] for part in trace_header.split(";"))
    root = _ROOT.fullmatch(fields.get("Root", ""))
    parent = _PARENT.fullmatch(fields.get("Parent", ""))
    if root is None or parent is None or fields.get("Sampled") != "1":
        return None
    return Parent(root[1] + root[2], parent[0])


def document(span: PostSpan, receiver: Receiver) -> bytes:
    """The OTLP request that exports one span."""
    status: dict[str, object] = {"code": _STATUS_UNSET}
    if span.problem:
        status = {"code": _STATUS_ERROR, "message": span.problem}
    encoded = {
        "traceId": span.parent.trace_id,
        "spanId": os.urandom(8).hex(),
        "parentSpanId": span.parent.span_id,
        "flags": 1,
        "name": "post work",
        "kind": _INTERNAL,
        "startTimeUnixNano": str(int(span.began * 1e9)),
        "endTimeUnixNano": str(int(span.ended * 1e9)),
        "attributes": [_attribute(name, value) for name, value in span.attributes.items()],
        "status": status,
    }
    resource = [_attribute(name, value) for name, value in receiver.resource]
    scopes = [{"scope": {"name": SCOPE}, "spans": [encoded]}]
    export = {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scopes}]}
    return json.dumps(export).encode()


def _attribute(name: str, value: str | int | bool) -> dict[str, object]:  # noqa: FBT001 - an attribute's value, not a flag
    match value:
        case bool():
            encoded: dict[str, object] = {"boolValue": value}
        case int():
            encoded = {"intValue": str(value)}
        case _:
            encoded = {"stringValue": value}
    return {"key": name, "value": encoded}
