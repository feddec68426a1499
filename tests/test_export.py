"""Sending a span: to a receiver that takes it, and to all kinds that do not."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import trio

from aws_lambda_post_runner.post.span import Receiver, read_receiver
from aws_lambda_post_runner.proxy.export import export

from .fake_runtime_api import (
    Exchange,
    FakeRuntimeApi,
    fake_runtime_api,
    hang_up,
    reply,
    reply_bytes,
    response,
)

TRACES = "/v1/traces"


@pytest.fixture
def receiving() -> Iterator[FakeRuntimeApi]:
    """Something that speaks HTTP; what it answers is planned."""
    with fake_runtime_api() as api:
        yield api


def at(address: str, **more: str) -> Receiver:
    found = read_receiver({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", **more})
    assert found is not None
    return found


def send(receiver: Receiver, seconds: float = 30.0) -> str:
    return trio.run(export, receiver, b'{"resourceSpans":[]}', seconds)


def test_a_span_is_posted_with_the_standard_headers(receiving: FakeRuntimeApi) -> None:
    receiving.plan(TRACES, reply(200, b"{}"))
    assert send(at(receiving.address, OTEL_EXPORTER_OTLP_HEADERS="api-key=abc")) == ""
    request = receiving.await_whole_request(TRACES)
    assert request.body == b'{"resourceSpans":[]}'
    head = request.head.lower()
    assert b"content-type: application/json" in head
    assert b"api-key: abc" in head
    assert f"host: {receiving.address}".encode() in head


def test_a_name_is_looked_up_and_each_of_its_addresses_tried(receiving: FakeRuntimeApi) -> None:
    receiving.plan(TRACES, reply(202))
    port = receiving.address.rpartition(":")[2]
    assert send(at(f"localhost:{port}")) == ""


def never_answer(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.wait_until_peer_is_gone()


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (reply(503), "status 503"),
        (reply(404), "status 404"),
        (hang_up, "closed"),
        (reply_bytes(b"what?\r\n\r\n"), ""),
    ],
)
def test_a_receiver_in_trouble_is_described(receiving: FakeRuntimeApi, script: object, problem: str) -> None:
    assert callable(script)
    receiving.plan(TRACES, script)
    said = send(at(receiving.address))
    assert said
    assert problem in said


def test_a_receiver_that_hangs_gets_its_time_and_no_more(receiving: FakeRuntimeApi) -> None:
    receiving.plan(TRACES, never_answer)
    assert send(at(receiving.address), 0.05) == "it did not answer within 50 ms"


def test_a_dead_receiver_is_described() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    assert "refused" in send(at(f"127.0.0.1:{port}"))


def test_a_name_that_nobody_has_is_described() -> None:
    assert send(at("receiver.invalid:4318"))


def hint_first(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + response(200))


def test_a_receiver_of_spans_may_say_something_before_its_answer(receiving: FakeRuntimeApi) -> None:
    receiving.plan(TRACES, hint_first)
    assert send(at(receiving.address)) == ""
