"""What is read as a plain head is read by h11 in the same way, and the heads of every day are plain."""

import tracemalloc

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aws_lambda_post_runner.proxy.heads import (
    RequestHead,
    judge_request,
    judge_response,
    make_request,
    refuse_merged_lines,
)
from aws_lambda_post_runner.proxy.plain_heads import read_plain_request, read_plain_response

POLL = (
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
    b"Host: 127.0.0.1:9001\r\nUser-Agent: aws-lambda-python/3.13-4.2.2\r\nAccept: */*\r\n\r\n"
)
RESPONSE = (
    b"POST /2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response HTTP/1.1\r\n"
    b"Host: 127.0.0.1:9001\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
)
EVENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
    b"Lambda-Runtime-Deadline-Ms: 1767225600000\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n"
)
ACKNOWLEDGEMENT = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"

PIECES = st.sampled_from(
    [
        *(b"GET POST HEAD CONNECT OPTIONS / /a /a?b http://a/ * HTTP/1.1 HTTP/1.0 HTTP/2 HTTP/1.1\r".split()),
        *(b"200 202 204 304 100 101 999 20 OK".split()),
        b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b": ", b":  ", b",", b"\x00", b"\x7f", b"\xff", b"\x0b", b"a", b"b",
        b"Host: a\r\n", b"host: b\r\n", b"Content-Length: 1\r\n", b"Content-Length: 01\r\n",
        b"Content-Length: 1, 1\r\n", b"Content-Length: +1\r\n", b"Content-Length:1\r\n", b"Content-Length: \r\n",
        b"Content-Length: " + b"9" * 30 + b"\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
        b"Upgrade: a\r\n", b"Expect: 100-continue\r\n", b"X: y \r\n", b"X : y\r\n", b" folded\r\n", b"X: \r\n",
        b"\r\n\r\n",
    ]
)  # fmt: skip
DRAWN = st.lists(PIECES, max_size=12).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn, head: bytes) -> bytes:
    """A head of every day, with some of it replaced by pieces that matter to a parser."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(head)))
        end = min(len(head), start + draw(st.integers(0, 20)))
        head = head[:start] + draw(DRAWN) + head[end:]
    return head


def request_by_h11(head: bytes) -> h11.Request:
    event = only_event(h11.Connection(h11.SERVER), head)
    assert isinstance(event, h11.Request)
    refuse_merged_lines(event, head)
    return event


def response_by_h11(head: bytes) -> h11.Response:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "")]))
    event = only_event(parser, head)
    assert isinstance(event, h11.Response)
    refuse_merged_lines(event, head)
    return event


def only_event(parser: h11.Connection, head: bytes) -> object:
    parser.receive_data(head)
    event = parser.next_event()
    assert parser.trailing_data == (b"", False)
    return event


@given(mutated(POLL) | mutated(RESPONSE))
@example(POLL)
@example(RESPONSE)
def test_a_request_that_is_plain_means_the_same_to_h11(head: bytes) -> None:
    plain = read_plain_request(head)
    if plain is not None:
        assert plain == judge_request(request_by_h11(head))


@given(mutated(EVENT) | mutated(ACKNOWLEDGEMENT))
@example(EVENT)
@example(ACKNOWLEDGEMENT)
def test_a_response_that_is_plain_means_the_same_to_h11(head: bytes) -> None:
    request = make_request(b"GET", b"/", [(b"Host", b"a")])
    plain = read_plain_response(head, request)
    if plain is not None:
        assert plain == judge_response(response_by_h11(head), request)


@pytest.mark.parametrize("head", [POLL, RESPONSE])
def test_the_requests_of_every_day_are_plain(head: bytes) -> None:
    assert read_plain_request(head)


@pytest.mark.parametrize("head", [EVENT, ACKNOWLEDGEMENT])
def test_the_responses_of_every_day_are_plain(head: bytes) -> None:
    assert read_plain_response(head, make_request(b"GET", b"/", [(b"Host", b"a")]))


def test_a_response_whose_head_has_to_change_on_its_way_is_not_plain() -> None:
    request: RequestHead = make_request(b"GET", b"/", [(b"Host", b"a")])
    assert read_plain_response(EVENT, request._replace(keep_alive=False)) is None
    assert read_plain_response(EVENT, request._replace(method=b"HEAD")) is None


@pytest.mark.parametrize("head", [POLL, RESPONSE, POLL.replace(b"Host", b"Connection"), b""])
def test_a_request_that_comes_again_means_the_same(head: bytes) -> None:
    assert [read_plain_request(head) for _ in range(3)] == [read_plain_request(bytes(bytearray(head)))] * 3


def test_a_response_means_what_its_request_makes_of_it_when_it_comes_again() -> None:
    asked = make_request(b"POST", b"/", [(b"Host", b"a")])
    assert read_plain_response(ACKNOWLEDGEMENT, asked) == read_plain_response(ACKNOWLEDGEMENT, asked)
    assert read_plain_response(ACKNOWLEDGEMENT, asked._replace(method=b"HEAD")) is None
    assert read_plain_response(ACKNOWLEDGEMENT, asked._replace(keep_alive=False)) is None


def test_only_few_and_short_heads_are_kept_in_memory() -> None:
    asked = make_request(b"POST", b"/", [(b"Host", b"a")])
    tracemalloc.start()
    try:
        for number in range(1000):
            cause = b"x" * (100_000 if number % 2 else 500) + b"%d" % number
            for head in (POLL, RESPONSE):
                assert read_plain_request(
                    head.replace(b"Host", b"Lambda-X-Ray-Cause: " + cause + b"\r\nHost")
                )
            assert read_plain_response(
                ACKNOWLEDGEMENT.replace(b"Content-Type", b"X: " + cause + b"\r\nContent-Type"), asked
            )
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
