"""A poll never overtakes an answer: it waits until no answer is on its way, then until no post work is under way."""

import threading
import time

import pytest

from .conftest import Prepare
from .fake_runtime_api import ACCEPTED, NEXT, PATIENCE, Exchange, Script, answer_path, reply
from .running import Gate, HandlerConnection, Stage

GAPS_MS = [0, 0.5, 2]
"""Between the end of an answer and the poll on another connection, as clients leave it that do not wait for the
acknowledgement (aws-lambda-ric 4, when a streaming handler throws)."""


class Late:
    """A script that takes an answer and acknowledges it when the test says so."""

    def __init__(self, then: Script = ACCEPTED) -> None:
        self._then = then
        self._may_go_on = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        exchange.read_body()
        self._may_go_on.wait(PATIENCE)
        self._then(exchange)

    def go_on(self) -> None:
        self._may_go_on.set()


def send_answer(handler: HandlerConnection, request_id: str, *, chunked: bool) -> None:
    """Send a whole answer and do not wait for its acknowledgement."""
    if chunked:
        handler.begin_stream(answer_path(request_id))
        handler.send_chunk(b"half of an answer")
        handler.end_stream(b"Lambda-Runtime-Function-Error-Type: Broken\r\n")
    else:
        handler.ask("POST", answer_path(request_id), b"{}")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_a_poll_that_comes_before_the_acknowledgement_waits_for_it_and_for_the_command(
    stage: Stage, gate: Gate, gap_ms: float, *, chunked: bool
) -> None:
    late = Late()
    stage.runtime_api.plan("/response", late)
    stage.run_after(gate.wait)
    answering, polling = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(answering)
    send_answer(answering, request_id, chunked=chunked)
    time.sleep(gap_ms / 1000)
    polling.send_poll()
    stage.runner.await_event("poll-held")
    assert len(stage.runtime_api.to(NEXT)) == 1
    late.go_on()
    stage.runner.await_event("post-command-started", request_id)
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    poll = stage.runtime_api.await_request(NEXT, nth=2)
    assert poll.received >= stage.runner.await_event("post-command-ended")["time"]


def test_a_poll_that_comes_before_the_answer_has_a_connection_waits_for_both(
    stage: Stage, gate: Gate
) -> None:
    """aws-lambda-ric 4 polls at once when a streaming handler throws, and opens the connection for its answer then."""
    stage.run_after(gate.wait)
    polling = stage.runner.connect()
    request_id = stage.next_invocation(polling)
    polling.send_poll()
    stage.runner.await_event("poll-held")
    send_answer(stage.runner.connect(), request_id, chunked=True)
    stage.runner.await_event("post-command-started", request_id)
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    poll = stage.runtime_api.await_request(NEXT, nth=2)
    assert poll.received >= stage.runner.await_event("post-command-ended")["time"]


@pytest.mark.parametrize("gap_ms", GAPS_MS)
def test_a_poll_on_a_new_connection_does_not_overtake_the_answer_either(stage: Stage, gap_ms: float) -> None:
    stage.run_after(":")
    for number in range(1, 11):
        answering = stage.runner.connect()
        send_answer(answering, stage.next_invocation(answering), chunked=True)
        time.sleep(gap_ms / 1000)
        polling = stage.runner.connect()
        polling.send_poll()
        poll = stage.runtime_api.await_request(NEXT, nth=2 * number)
        assert poll.received >= stage.runner.await_event("post-command-ended", nth=number)["time"]
        stage.runtime_api.invoke(request_id="by-the-way")
        assert polling.read_event() == "by-the-way"
        answering.close()
        polling.close()


def test_a_poll_that_comes_with_its_answer_on_one_connection_waits_for_the_command(
    stage: Stage, gate: Gate
) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    answer = f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}"
    handler.send(f"{answer}GET {NEXT} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert handler.read_response().status == 202
    stage.runner.await_event("poll-held")
    stage.runner.await_event("post-command-started", request_id)
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    poll = stage.runtime_api.await_request(NEXT, nth=2)
    assert poll.received >= stage.runner.await_event("post-command-ended")["time"]


def test_a_poll_after_an_answer_whose_acknowledgement_nobody_awaits_waits_for_both(
    stage: Stage, gate: Gate
) -> None:
    late = Late()
    stage.runtime_api.plan("/response", late)
    stage.run_after(gate.wait)
    answering = stage.runner.connect()
    request_id = stage.next_invocation(answering)
    send_answer(answering, request_id, chunked=False)
    stage.runtime_api.await_whole_request("/response")
    answering.close()
    stage.runner.connect().send_poll()
    stage.runner.await_event("poll-held")
    late.go_on()
    stage.runner.await_event("post-command-started", request_id)
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    poll = stage.runtime_api.await_request(NEXT, nth=2)
    assert poll.received >= stage.runner.await_event("post-command-ended")["time"]


def test_a_poll_goes_on_when_the_answer_before_it_is_refused(stage: Stage) -> None:
    late = Late(reply(413))
    stage.runtime_api.plan("/response", late)
    answering, polling = stage.runner.connect(), stage.runner.connect()
    send_answer(answering, stage.next_invocation(answering), chunked=False)
    polling.send_poll()
    stage.runner.await_event("poll-held")
    late.go_on()
    stage.runtime_api.await_request(NEXT, nth=2)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_poll_goes_on_when_the_answer_before_it_dies_half_way(stage: Stage, *, reset: bool) -> None:
    answering, polling = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(answering)
    answering.begin_stream(answer_path(request_id))
    answering.send_chunk(b"half")
    stage.runtime_api.await_request("/response")
    polling.send_poll()
    stage.runner.await_event("poll-held")
    assert len(stage.runtime_api.to(NEXT)) == 1
    answering.reset() if reset else answering.close()
    stage.runtime_api.await_request(NEXT, nth=2)


@pytest.mark.parametrize("kind", ["response", "error"])
@pytest.mark.parametrize("status", [202, 413])
def test_a_poll_does_not_wait_for_an_answer_that_was_given_up_for_another_one(
    stage: Stage, kind: str, status: int
) -> None:
    """Its stream is never ended and its connection stays open. Lambda would count the invocation as timed out."""
    given_up, handler = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    given_up.begin_stream(answer_path(request_id))
    given_up.send_chunk(b"half")
    stage.runtime_api.await_request("/response")
    stage.runtime_api.plan(kind, reply(status))
    assert handler.exchange("POST", answer_path(request_id, kind), b"{}").status == status
    handler.send_poll()
    stage.runtime_api.await_request(NEXT, nth=2)
    assert given_up.is_quiet()


def test_on_managed_instances_a_poll_waits_for_nobodys_answer(prepare: Prepare) -> None:
    stage = prepare(environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    answering, polling = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(answering)
    answering.begin_stream(answer_path(request_id))
    answering.send_chunk(b"half")
    stage.runtime_api.await_request("/response")
    polling.send_poll()
    stage.runtime_api.await_request(NEXT, nth=2)
    answering.end_stream()
    assert answering.read_response().status == 202
    assert stage.runner.events("poll-held") == []
