"""What the Runtime API says before it has all of an answer reaches the handler at once, not when all is sent."""

import threading
from collections.abc import Iterator

import pytest

from .fake_runtime_api import PATIENCE, Exchange, answer_path, response
from .running import Stage

MEBIBYTE = 1024 * 1024
REFUSAL = response(413, b"too large")


class Holding:
    """Scripts that answer after the first bytes of a body and then neither read on nor hang up."""

    def __init__(self) -> None:
        self._released = threading.Event()

    def refuse(self, exchange: Exchange) -> None:
        exchange.read_some(10)
        exchange.send(REFUSAL)
        self._released.wait(PATIENCE)

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def holding() -> Iterator[Holding]:
    holding = Holding()
    yield holding
    holding.release()


def test_an_early_413_reaches_a_handler_between_two_chunks_of_a_slow_stream(
    stage: Stage, holding: Holding
) -> None:
    stage.runtime_api.plan("/response", holding.refuse)
    handler = stage.runner.connect()
    handler.begin_stream(answer_path("large"))
    handler.send_chunk(b"now and then a chunk")
    refusal = handler.read_response()
    assert (refusal.status, refusal.body) == (413, b"too large")


def test_an_early_413_reaches_a_handler_between_two_pieces_of_a_body_with_a_length(
    stage: Stage, holding: Holding
) -> None:
    stage.runtime_api.plan("/response", holding.refuse)
    handler = stage.runner.connect()
    handler.send(f"POST {answer_path('large')} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode())
    handler.send(bytes(100))
    assert handler.read_response().status == 413


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_early_413_reaches_a_handler_though_the_runtime_api_neither_reads_on_nor_hangs_up(
    stage: Stage, holding: Holding, *, chunked: bool
) -> None:
    stage.runtime_api.plan("/response", holding.refuse)
    handler = stage.runner.connect()
    handler.sock.settimeout(PATIENCE)
    if chunked:
        handler.begin_stream(answer_path("large"))
        for _ in range(30):
            handler.send_chunk(bytes(MEBIBYTE))
        handler.end_stream()
    else:
        handler.ask("POST", answer_path("large"), bytes(30 * MEBIBYTE))
    assert handler.read_response().status == 413


def test_a_handler_that_was_refused_early_can_end_its_stream_and_go_on_with_its_connection(
    stage: Stage, holding: Holding
) -> None:
    stage.runtime_api.plan("/response", holding.refuse)
    handler = stage.runner.connect()
    handler.begin_stream(answer_path("large"))
    handler.send_chunk(b"now and then a chunk")
    assert handler.read_response().status == 413
    handler.send_chunk(b"and the last one")
    handler.end_stream()
    request_id = stage.next_invocation(handler)
    assert handler.answer(request_id).status == 202
    assert stage.runner.await_event("post-command-ended")["requestId"] == request_id


def test_an_answer_that_is_accepted_early_is_still_sent_to_its_end(stage: Stage) -> None:
    def accept_and_read_on(exchange: Exchange) -> None:
        exchange.send(response(202, b"ok"))
        exchange.read_body()

    stage.runtime_api.plan("/response", accept_and_read_on)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    handler.send_chunk(bytes(MEBIBYTE))
    handler.send_chunk(b"the end")
    handler.end_stream(b"X-Trailer: 1\r\n")
    assert handler.read_response().status == 202
    request = stage.runtime_api.await_whole_request("/response")
    assert (request.body_size, request.trailers) == (MEBIBYTE + 7, b"X-Trailer: 1\r\n")
    stage.runner.await_event("post-command-ended", request_id)
    assert stage.next_invocation(handler)


def test_an_informational_answer_that_comes_early_is_passed_on_and_the_rest_is_still_sent(
    stage: Stage,
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

    def hint_early(exchange: Exchange) -> None:
        exchange.send(hints)
        exchange.read_body()
        exchange.send(response(202, b"ok"))

    stage.runtime_api.plan("/response", hint_early)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    handler.send_chunk(b"one")
    assert handler.read_head().head == hints
    handler.send_chunk(b"two")
    handler.end_stream()
    assert handler.read_response().status == 202
    assert stage.runtime_api.to("/response")[0].body == b"onetwo"


def test_a_handler_learns_at_once_that_the_runtime_api_has_hung_up_on_its_stream(stage: Stage) -> None:
    def hang_up_early(exchange: Exchange) -> None:
        exchange.read_some(4)
        exchange.hang_up()

    stage.runtime_api.plan("/response", hang_up_early)
    handler = stage.runner.connect()
    handler.begin_stream(answer_path("cut"))
    handler.send_chunk(b"now and then a chunk")
    assert handler.is_closed_by_peer()


def test_a_body_with_a_length_that_comes_in_one_go_arrives_whole(stage: Stage) -> None:
    """It passes without a second task that listens; larger ones, and what the Runtime API does not take, do not."""
    handler = stage.runner.connect()
    for size in (1, 20_000, 100_000, 6 * MEBIBYTE):
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        request_id = stage.next_invocation(handler)
        assert handler.answer(request_id, body).status == 202
        [request] = [each for each in stage.runtime_api.to("/response") if request_id in each.target]
        assert bytes(request.body) == body
