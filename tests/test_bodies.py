"""Bodies pass both ways as they are, at once and without being kept; a body that is cut stays cut."""

import hashlib
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.ends import RuntimeApiWire

from .conftest import Prepare
from .fake_runtime_api import ACCEPTED, NEXT, Exchange, PeerWentAway, answer_path, reply
from .running import HandlerConnection, Stage, parse

MEBIBYTE = 1024 * 1024
CHUNKS = 60
"""So many that most come when a kernel acknowledges late, which would hold back what is not sent at once."""


# Streams.


def test_each_chunk_of_a_streamed_response_passes_before_the_next_is_there(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    request = stage.runtime_api.await_request("/response")
    for number in range(1, CHUNKS + 1):
        handler.send_chunk(b"chunk")
        stage.runtime_api.wait_for(lambda: len(request.arrivals) >= number, "the chunk's arrival")  # noqa: B023
    handler.end_stream()
    assert handler.read_response().status == 202
    assert [size for _, size in request.arrivals] == [5] * CHUNKS


def test_the_kernel_keeps_back_no_chunk_until_the_one_before_is_acknowledged() -> None:
    """Which takes it 40 ms where the other end acknowledges late. `bench/latency.py` has the times."""
    assert trio.run(keeps_nothing_back) == [True, True]


async def keeps_nothing_back() -> list[bool]:
    """Tell of both ends whether the kernel sends each chunk at once."""
    with Door() as door:
        to_runtime_api = await RuntimeApiWire.connect(parse(door.address))
        from_handler = await door.welcome()
        sockets = (from_handler._sock, to_runtime_api._sock)
        kept = [bool(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) for each in sockets]
        door.see_off(from_handler)
        to_runtime_api.close()
    return kept


def test_each_chunk_of_a_streamed_event_passes_before_the_next_is_there(stage: Stage) -> None:
    def stream(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            sent.append(number)
            exchange.send(b"5\r\nchunk\r\n")
            stage.runtime_api.wait_for(lambda: len(seen) == len(sent), "the chunk's arrival")
        exchange.send(b"0\r\nX-Trailer: kept\r\n\r\n")

    sent: list[int] = []
    seen: list[bytes] = []
    stage.runtime_api.plan(NEXT, stream)
    handler = stage.runner.connect()
    handler.send_poll()
    assert handler.read_head().get("Transfer-Encoding") == "chunked"
    while chunk := handler.read_chunk():
        with stage.runtime_api.changing():
            seen.append(chunk)
    assert seen == [b"chunk"] * 5
    assert handler.read_trailers() == b"X-Trailer: kept\r\n"


@pytest.mark.parametrize(
    "declared",
    [
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n",
        "trailer: Lambda-Runtime-Function-Error-Type\r\ntrailer: Lambda-Runtime-Function-Error-Body\r\n",
        "TRAILER: Lambda-Runtime-Function-Error-Type\r\nTrailer: Lambda-Runtime-Function-Error-Body\r\n",
        "",
    ],
    ids=["one line", "two lines", "two cases", "not declared"],
)
def test_trailers_arrive_intact_and_the_connection_stays_usable(stage: Stage, declared: str) -> None:
    trailers = (
        b"Lambda-Runtime-Function-Error-Type: Function.HalfWay\r\n"
        b"lambda-runtime-function-error-BODY: eyJlcnJvciI6MX0=\r\n"
    )
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id), declared)
    handler.send_chunk(b"half of it")
    handler.end_stream(trailers)
    assert handler.read_response().status == 202
    [request] = stage.runtime_api.to("/response")
    assert request.trailers == trailers
    assert declared.encode() in request.head
    assert stage.next_invocation(handler)


# Cuts.


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_an_upload_that_the_handler_cuts_is_cut_and_no_command_runs(
    stage: Stage, *, chunked: bool, reset: bool
) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    if chunked:
        handler.begin_stream(answer_path(request_id))
        handler.send_chunk(b"half of it")
    else:
        handler.send(b"POST %b HTTP/1.1\r\nContent-Length: 20\r\n" % answer_path(request_id).encode())
        handler.send(b"Host: x\r\n\r\nhalf of it")
    request = stage.runtime_api.await_request("/response")
    stage.runtime_api.wait_for(lambda: request.body == b"half of it", "the first half")
    handler.reset() if reset else handler.close()
    stage.runtime_api.wait_for(lambda: request.cut, "the cut")
    assert not request.whole
    stage.next_invocation(stage.runner.connect())
    assert stage.runner.events("settled") == []


def test_a_chunk_that_is_malformed_cuts_the_upload(stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.begin_stream(answer_path(stage.next_invocation(handler)))
    handler.send_chunk(b"half of it")
    request = stage.runtime_api.await_request("/response")
    stage.runtime_api.wait_for(lambda: request.body == b"half of it", "the first half")
    handler.send(b"not a size\r\n")
    assert handler.is_closed_by_peer()
    stage.runtime_api.wait_for(lambda: request.cut, "the cut")


# Sizes.


def test_large_bodies_arrive_as_they_were_sent(stage: Stage) -> None:
    """6 MB each way, with a length and in chunks, of bytes that would show any that is lost or doubled."""
    event, answer = os.urandom(6 * MEBIBYTE), os.urandom(6 * MEBIBYTE)
    handler = stage.runner.connect()
    for _ in range(2):
        request_id = stage.runtime_api.invoke(event)
        handler.send_poll()
        assert same(handler.read_response().body, event)
        handler.answer(request_id, answer)
        assert same(stage.runtime_api.to(f"{request_id}/response")[0].body, answer)
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    for begin in range(0, len(answer), 100_000):
        handler.send_chunk(answer[begin : begin + 100_000])
    handler.end_stream()
    assert handler.read_response().status == 202
    assert same(stage.runtime_api.to(f"{request_id}/response")[0].body, answer)


def same(one: bytes | bytearray, other: bytes) -> bool:
    return hashlib.sha256(one).digest() == hashlib.sha256(other).digest()


def test_our_memory_grows_by_less_than_4_mb_through_200_mb_streamed_and_a_6_mb_event(stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    before = stage.runner.memory()
    stream_mebibytes(stage, handler, 200)
    stage.runtime_api.invoke(bytes(6 * MEBIBYTE))
    handler.poll()
    grown = peak_memory(stage.runner.process.pid) - before
    assert grown < 4 * MEBIBYTE, grown


def test_a_runtime_api_that_does_not_read_holds_the_handler_up_and_not_our_memory(stage: Stage) -> None:
    may_read = threading.Event()

    def read_late(exchange: Exchange) -> None:
        may_read.wait(10)
        ACCEPTED(exchange)

    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    before = stage.runner.memory()
    stage.runtime_api.plan("/response", read_late)
    streaming = threading.Thread(target=stream_mebibytes, args=[stage, handler, 50])
    streaming.start()
    stage.runtime_api.await_request("/response", nth=2)
    streaming.join(0.3)
    assert streaming.is_alive()
    may_read.set()
    streaming.join()
    assert peak_memory(stage.runner.process.pid) - before < 4 * MEBIBYTE


def test_a_handler_that_goes_away_half_way_through_an_event_leaves_no_connection_out_of_step(
    stage: Stage,
) -> None:
    for _ in range(3):
        stage.runtime_api.invoke(bytes(20 * MEBIBYTE))
        handler = stage.runner.connect()
        handler.send_poll()
        assert handler.read_head().status == 200
        handler.close()
    handler = stage.runner.connect()
    assert handler.answer(stage.next_invocation(handler)).status == 202


def stream_mebibytes(stage: Stage, handler: HandlerConnection, count: int) -> None:
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    for _ in range(count):
        handler.send_chunk(bytes(MEBIBYTE))
    handler.end_stream()
    assert handler.read_response().status == 202
    assert stage.runtime_api.to(f"{request_id}/response")[0].body_size == count * MEBIBYTE


def peak_memory(pid: int) -> int:
    """The most resident memory that the process ever had, in bytes."""
    [line] = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) * 1024


def test_a_header_of_1_mib_is_relayed_with_an_error(stage: Stage) -> None:
    """As awslambdaric sends it with the cause of an error for X-Ray."""
    cause = "x" * MEBIBYTE
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    headers = {"Lambda-Runtime-Function-XRay-Error-Cause": cause}
    assert handler.exchange("POST", answer_path(request_id, "error"), b"{}", headers).status == 202
    assert stage.runtime_api.to("/error")[0].get("Lambda-Runtime-Function-XRay-Error-Cause") == cause


def test_a_head_that_is_larger_than_the_limit_is_refused(stage: Stage) -> None:
    handler = stage.runner.connect()
    with suppress(PeerWentAway):  # it need not read all of it
        handler.ask("GET", NEXT, headers={"X-Much": "x" * (3 * MEBIBYTE)})
    assert handler.read_head().status == 431
    assert stage.runtime_api.requests == []


# Expectations.


def test_a_handler_that_waits_for_100_continue_gets_it_and_its_body_is_relayed(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.send(b"POST %b HTTP/1.1\r\nHost: x\r\n" % answer_path(request_id).encode())
    handler.send(b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert handler.read_head().head == b"HTTP/1.1 100 Continue\r\n\r\n"
    handler.send(b"body")
    assert handler.read_response().status == 202
    [request] = stage.runtime_api.to("/response")
    assert request.body == b"body"
    assert request.get("Expect") == ""


def test_a_handler_that_does_not_wait_for_it_gets_its_answer_alone(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    acknowledgement = handler.exchange("POST", answer_path(request_id), b"body", {"Expect": "100-continue"})
    assert acknowledgement.status == 202


def test_a_refused_answer_after_100_continue_is_relayed(stage: Stage) -> None:
    stage.runtime_api.plan("/response", reply(413))
    handler = stage.runner.connect()
    handler.send(b"POST %b HTTP/1.1\r\nHost: x\r\n" % answer_path("any").encode())
    handler.send(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert handler.read_head().status == 100
    handler.send_chunk(b"body")
    handler.end_stream()
    assert handler.read_response().status == 413


def test_two_requests_in_one_segment_are_answered_one_after_the_other(prepare: Prepare) -> None:
    stage = prepare(MODE="AfterError")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    following = stage.runtime_api.invoke()
    handler.send(
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" % answer_path(request_id).encode()
        + b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % NEXT.encode()
    )
    assert handler.read_response().status == 202
    assert handler.read_event() == following


@pytest.mark.parametrize("stray", [b"\r\n", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize("when", ["with the body", "with the next request", "alone", "byte by byte"])
def test_an_empty_line_after_a_body_is_skipped(stage: Stage, stray: bytes, when: str) -> None:
    """Shells end what they send with one. The Runtime API's own server, Go's, skips it too."""
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    post = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" % answer_path(request_id).encode()
    handler.send(post + stray if when == "with the body" else post)
    assert handler.read_response().status == 202
    poll = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % NEXT.encode()
    match when:
        case "with the next request":
            poll = stray + poll
        case "alone":
            handler.send(stray)
        case "byte by byte":
            for number in stray:
                handler.send(bytes([number]))
    request_id = stage.runtime_api.invoke()
    handler.send(poll)
    assert handler.read_event() == request_id
    assert stage.runtime_api.await_request("/response").body == b"body"


def test_nothing_but_empty_lines_is_no_request(stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.send(b"\r\n")
    handler.say_no_more()
    assert handler.receive_rest() == b""
    assert stage.runtime_api.requests == []
