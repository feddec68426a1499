"""Whatever the Runtime API does, the handler sees it as it is, and nothing is sent twice or made up."""

import threading

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import (
    ACCEPTED,
    NEXT,
    RESTORE_NEXT,
    Exchange,
    FakeRuntimeApi,
    Script,
    answer_path,
    hang_up,
    reply,
    reply_bytes,
    response,
)
from .running import RUNNER, HandlerConnection, Response, Stage, wait_until

MEBIBYTE = 1024 * 1024


def no_command_has_run(stage: Stage, handler: HandlerConnection) -> bool:
    """Whether no command was started for any answer before the next invocation."""
    stage.next_invocation(handler)
    return not stage.runner.events("post-command-started")


# It cannot be reached, or goes away.


def test_when_it_refuses_the_handlers_connection_is_closed_and_one_line_says_so(stage: Stage) -> None:
    handler = stage.runner.connect()
    stage.runtime_api.close()
    handler.send_poll()
    assert handler.is_closed_by_peer()
    stage.runner.end_handler()
    stage.runner.wait()
    [line] = stage.runner.said().splitlines()
    assert line.endswith("the Runtime API cannot be reached: Connection refused")


def hang_up_half_way_through_the_head(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.send(b"HTTP/1.1 202 Acc")
    exchange.hang_up()


def reset(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.reset()


@pytest.mark.parametrize("fault", [hang_up, hang_up_half_way_through_the_head, reset])
def test_when_it_gives_an_answer_no_answer_the_handlers_connection_is_closed_and_no_command_runs(
    stage: Stage, fault: Script
) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    stage.runtime_api.plan("/response", fault)
    handler.ask("POST", answer_path(request_id), b"{}")
    assert handler.is_closed_by_peer()
    assert no_command_has_run(stage, stage.runner.connect())
    assert len(stage.runtime_api.to("/response")) == 1
    stage.runner.stderr.await_line(lambda line: "closed the connection without a whole answer" in line)


@pytest.mark.parametrize("fault", [hang_up, hang_up_half_way_through_the_head, reset])
def test_when_it_gives_a_poll_no_answer_the_poll_is_not_sent_again(stage: Stage, fault: Script) -> None:
    stage.runtime_api.plan(NEXT, fault)
    handler = stage.runner.connect()
    handler.send_poll()
    assert handler.is_closed_by_peer()
    assert len(stage.runtime_api.to(NEXT)) == 1


def test_when_it_goes_away_half_way_through_an_event_the_handler_sees_that_the_event_is_cut(
    stage: Stage,
) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.send(response(200, b"x" * 1000)[:-1])
        exchange.hang_up()

    stage.runtime_api.plan(NEXT, cut)
    handler = stage.runner.connect()
    handler.send_poll()
    assert handler.read_head().get("Content-Length") == "1000"
    assert handler.receive_rest() == b"x" * 999


def test_when_it_goes_away_half_way_through_an_event_in_chunks_the_event_gets_no_end(stage: Stage) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n")
        exchange.hang_up()

    stage.runtime_api.plan(NEXT, cut)
    handler = stage.runner.connect()
    handler.send_poll()
    assert handler.read_head().get("Transfer-Encoding") == "chunked"
    assert handler.receive_rest() == b"5\r\nchunk\r\n"
    stage.runner.stderr.await_line(lambda line: "closed the connection without a whole answer" in line)


def test_when_it_goes_away_half_way_through_an_acknowledgement_the_command_runs_for_the_answer_was_taken(
    stage: Stage,
) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(response(202, b"x" * 10)[:-1])
        exchange.hang_up()

    stage.runtime_api.plan("/response", cut)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.ask("POST", answer_path(request_id), b"{}")
    assert handler.read_head().status == 202
    assert handler.receive_rest() == b"x" * 9
    stage.runner.await_event("post-command-ended", request_id)


def test_an_address_at_which_nobody_can_be_is_told(start: Start) -> None:
    runner = start(runtime_api_at="255.255.255.255:1", COMMAND=":")
    handler = runner.connect()
    handler.send_poll()
    assert handler.is_closed_by_peer()
    runner.stderr.await_line(lambda line: "the Runtime API cannot be reached: " in line)


def test_it_may_be_named_by_a_host_name(start: Start, runtime_api: FakeRuntimeApi) -> None:
    runner = start(runtime_api_at=runtime_api.address.replace("127.0.0.1", "localhost"), COMMAND=":")
    request_id = runtime_api.invoke()
    assert runner.connect().poll() == request_id


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_when_descriptors_run_out_those_who_wait_are_served_once_others_have_gone(
    start: Start, runtime_api: FakeRuntimeApi, log_format: str
) -> None:
    few = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *RUNNER]
    runner = start(runner=few, environment={"AWS_LAMBDA_LOG_FORMAT": log_format}, COMMAND=":")
    handlers = [runner.connect() for _ in range(30)]
    wait_until(lambda: runner.open_descriptors() == 24, "the last free descriptor's use")
    handlers[0].send_poll()
    runtime_api.await_request(NEXT)
    for handler in handlers[1:-1]:
        handler.close()
    request_id = runtime_api.invoke()
    assert handlers[0].read_event() == request_id
    request_id = runtime_api.invoke()
    assert handlers[-1].poll() == request_id


def test_when_it_speaks_nonsense_the_handlers_connection_is_closed_and_one_line_says_so(stage: Stage) -> None:
    stage.runtime_api.plan(NEXT, reply_bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))
    handler = stage.runner.connect()
    handler.send_poll()
    assert handler.is_closed_by_peer()
    stage.runner.stderr.await_line(lambda line: "a malformed message was not relayed" in line)


# It refuses an answer.


@pytest.mark.parametrize("status", [400, 403, 410, 413, 500])
@pytest.mark.parametrize("kind", ["response", "error"])
def test_a_refusal_is_relayed_untouched_and_no_command_runs(stage: Stage, status: int, kind: str) -> None:
    document = b'{"errorMessage":"no","errorType":"Refused"}'
    headers = [("Content-Type", "application/json"), ("X-mIxEd", "kept")]
    stage.runtime_api.plan(f"/{kind}", reply(status, document, headers))
    handler = stage.runner.connect()
    handler.ask("POST", answer_path(stage.next_invocation(handler), kind), b"{}")
    refusal = handler.read_response()
    assert refusal.head + refusal.body == response(status, document, headers)
    assert no_command_has_run(stage, handler)


def test_an_answer_for_an_unknown_invocation_is_relayed_with_its_400_and_no_command_runs(
    stage: Stage,
) -> None:
    stage.runtime_api.plan("/response", reply(400, b"Invalid request ID"))
    handler = stage.runner.connect()
    assert handler.answer("unknown").status == 400
    assert stage.runtime_api.to("/response")[0].target == answer_path("unknown")
    assert no_command_has_run(stage, handler)


def test_a_refused_answer_can_be_followed_by_an_accepted_one_which_has_its_command(stage: Stage) -> None:
    stage.runtime_api.plan("/response", reply(400))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, headers=[("Lambda-Runtime-Aws-Tenant-Id", "blue")])
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_TENANT_ID > {stage.folder}/tenant")
    assert handler.answer(request_id).status == 400
    assert handler.answer_error(request_id).status == 202
    assert stage.runner.await_event("post-command-ended")["outcome"] == "error"
    assert (stage.folder / "tenant").read_text() == "blue\n"


def test_an_early_413_reaches_a_handler_that_still_sends_30_mb_20_times_of_20(stage: Stage) -> None:
    def refuse_early(exchange: Exchange) -> None:
        exchange.read_some(64 * 1024)
        exchange.send(response(413, b"too large"))
        exchange.hang_up()

    body = bytes(30 * MEBIBYTE)
    for _ in range(20):
        stage.runtime_api.plan("/response", refuse_early)
        handler = stage.runner.connect()
        refusal = handler.answer("large", body)
        assert (refusal.status, refusal.body) == (413, b"too large")
        handler.close()
    assert stage.runner.events("settled") == []


def test_an_early_413_reaches_a_handler_that_still_streams(stage: Stage) -> None:
    def refuse_early(exchange: Exchange) -> None:
        exchange.read_some(10)
        exchange.send(response(413, b"too large"))
        exchange.hang_up()

    stage.runtime_api.plan("/response", refuse_early)
    handler = stage.runner.connect()
    handler.begin_stream(answer_path("large"))
    for _ in range(300):
        handler.send_chunk(bytes(100_000))
    handler.end_stream()
    assert handler.read_response().status == 413


# Its connections grow stale.


def test_a_connection_that_went_stale_between_two_requests_is_replaced_unseen(stage: Stage) -> None:
    handler = stage.runner.connect()
    for _ in range(3):
        request_id = stage.next_invocation(handler)
        stage.runtime_api.close_connections()
        assert handler.answer(request_id).status == 202
        stage.runtime_api.close_connections()
    assert len(stage.runtime_api.to("/response")) == 3
    assert len(stage.runtime_api.to(NEXT)) == 3


def test_a_post_is_not_sent_again_when_the_reused_connection_breaks_after_its_bytes_are_out(
    stage: Stage,
) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    stage.runtime_api.plan("/response", hang_up)
    handler.ask("POST", answer_path(request_id), b"{}")
    assert handler.is_closed_by_peer()
    [post] = stage.runtime_api.to("/response")
    assert post.connection == 1


def test_a_poll_is_not_sent_again_when_the_reused_connection_breaks_after_its_bytes_are_out(
    stage: Stage,
) -> None:
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    stage.runtime_api.plan(NEXT, hang_up)
    handler.send_poll()
    assert handler.is_closed_by_peer()
    assert [poll.connection for poll in stage.runtime_api.to(NEXT)] == [1, 1]


# It answers in unusual forms.


def acknowledgement_in_the_form(stage: Stage, script: Script) -> Response:
    """What the handler gets when the Runtime API acknowledges in this form; the connection stays usable."""
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    stage.runtime_api.plan("/response", script)
    acknowledgement = handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert stage.next_invocation(handler)
    return acknowledgement


@pytest.mark.parametrize(
    "form",
    [
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n4;x=y\r\n, ok\r\n0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: Chunked\r\n\r\n07\r\nyes, ok\r\n0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\nyes, ok",
    ],
)
def test_an_acknowledgement_arrives_in_whatever_form_it_is_sent(stage: Stage, form: bytes) -> None:
    acknowledgement = acknowledgement_in_the_form(stage, reply_bytes(form))
    assert (acknowledgement.status, acknowledgement.body) == (202, b"yes, ok")


@pytest.mark.parametrize(
    "form",
    [
        b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 7\r\n\r\nyes, ok",
        b"HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\nyes, ok",
        b"HTTP/1.1 202 Accepted\r\n\r\nyes, ok",
        b"HTTP/1.0 202 Accepted\r\n\r\nyes, ok",
        b"HTTP/1.0 202 Accepted\r\nContent-Length: 7\r\n\r\nyes, ok",
    ],
)
def test_an_answer_that_ends_the_runtime_apis_connection_does_not_end_the_handlers(
    stage: Stage, form: bytes
) -> None:
    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(form)
        exchange.hang_up()

    acknowledgement = acknowledgement_in_the_form(stage, script)
    assert (acknowledgement.status, acknowledgement.body) == (202, b"yes, ok")
    assert acknowledgement.get("Connection") == ""


def test_after_connection_close_no_request_is_sent_on_that_connection(stage: Stage) -> None:
    closes = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    acknowledgement_in_the_form(stage, reply_bytes(closes))
    assert [request.connection for request in stage.runtime_api.requests] == [1, 1, 2]


def test_an_answer_without_a_body_is_relayed_without_one(stage: Stage) -> None:
    acknowledgement = acknowledgement_in_the_form(stage, reply_bytes(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert acknowledgement.head == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_an_event_that_comes_one_byte_every_10_ms_arrives_whole(stage: Stage) -> None:
    def drip(exchange: Exchange) -> None:
        exchange.trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n7 bytes", 0.01)

    stage.runtime_api.plan(NEXT, drip)
    handler = stage.runner.connect()
    handler.send_poll()
    event = handler.read_response()
    assert (event.status, event.body) == (200, b"7 bytes")


def test_a_chunked_event_that_comes_one_byte_every_10_ms_arrives_whole(stage: Stage) -> None:
    def drip(exchange: Exchange) -> None:
        exchange.trickle(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n7 bytes\r\n0\r\n\r\n", 0.01
        )

    stage.runtime_api.plan(NEXT, drip)
    handler = stage.runner.connect()
    handler.send_poll()
    event = handler.read_response()
    assert (event.status, event.body) == (200, b"7 bytes")


def test_informational_answers_are_passed_on_before_the_final_one(stage: Stage) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
    stage.runtime_api.plan("/response", reply_bytes(hints + final))
    handler = stage.runner.connect()
    handler.ask("POST", answer_path(stage.next_invocation(handler)), b"{}")
    assert handler.read_response().head == hints
    assert handler.read_response().body == b"ok"
    assert stage.next_invocation(handler)


def test_a_100_continue_that_nobody_asked_for_is_not_passed_on(stage: Stage) -> None:
    needless = b"HTTP/1.1 100 Continue\r\n\r\n"
    final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
    assert acknowledgement_in_the_form(stage, reply_bytes(needless + final)).body == b"ok"


def test_a_handler_that_speaks_http_1_0_gets_an_answer_that_it_can_read(stage: Stage) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n4\r\n, ok\r\n0\r\n\r\n"
    stage.runtime_api.plan("/old", reply_bytes(b"HTTP/1.1 103 Early Hints\r\n\r\n" + chunked))
    handler = stage.runner.connect()
    handler.send(b"GET /old HTTP/1.0\r\n\r\n")
    answer = handler.read_response()
    assert (answer.status, answer.body, answer.get("Transfer-Encoding")) == (200, b"yes, ok", "")
    assert stage.runtime_api.to("/old")[0].head == b"GET /old HTTP/1.1\r\nHost: \r\n\r\n"


def test_a_handler_that_asks_to_close_has_its_connection_closed_after_the_answer(stage: Stage) -> None:
    request_id = stage.runtime_api.invoke()
    handler = stage.runner.connect()
    handler.ask("GET", NEXT, headers={"Connection": "close"})
    event = handler.read_response()
    assert (event.get("Lambda-Runtime-Aws-Request-Id"), event.get("Connection")) == (request_id, "close")
    assert handler.is_closed_by_peer()
    assert stage.runtime_api.to(NEXT)[0].get("Connection") == ""


def test_handlers_that_connect_anew_for_each_request_share_one_connection_to_it(stage: Stage) -> None:
    for _ in range(3):
        handler = stage.runner.connect()
        request_id = stage.next_invocation(handler)
        handler.close()
        handler = stage.runner.connect()
        handler.answer(request_id)
        handler.close()
    assert {request.connection for request in stage.runtime_api.requests} == {1}


# What else it offers.


def test_connections_that_were_idle_before_a_restore_are_not_used_after_it(stage: Stage) -> None:
    first, second = stage.runner.connect(), stage.runner.connect()
    at_once = Together(2)
    stage.runtime_api.plan("/before", at_once, at_once)
    for handler in (first, second):
        handler.ask("GET", "/before")
    for handler in (first, second):
        handler.read_response()
    stage.runtime_api.plan(RESTORE_NEXT, reply(200))
    assert first.exchange("GET", RESTORE_NEXT).status == 200
    for handler in (first, second):
        handler.exchange("GET", "/after")
    used_before = {request.connection for request in stage.runtime_api.to("/before")}
    used_after = {request.connection for request in stage.runtime_api.to("/after")}
    assert len(used_before) == 2
    assert not used_after & used_before


class Together:
    """A script that answers only when so many requests have come, each on a connection of its own."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)

    def __call__(self, exchange: Exchange) -> None:
        self._barrier.wait(10)
        ACCEPTED(exchange)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/2020-01-01/extension/register"),
        ("GET", "/2020-01-01/extension/event/next"),
        ("PUT", "/2020-08-15/logs"),
        ("PUT", "/2022-07-01/telemetry"),
        ("GET", "/2018-06-01/ping"),
        ("POST", "/2018-06-01/runtime/init/error"),
        ("POST", "/2018-06-01/runtime/restore/error"),
        ("DELETE", "/2030-01-01/what/is/to/come?with=a%20query&and=more"),
        ("PATCH", "/2018-06-01/runtime/invocation/next"),
    ],
)
def test_other_paths_pass_through_untouched_both_ways(stage: Stage, method: str, target: str) -> None:
    answered = [("x-Odd-CASE", "1"), ("X-Twice", "a"), ("X-Twice", "b"), ("Content-Type", "text/plain")]
    stage.runtime_api.plan(target, reply(207, b"the answer", answered))
    handler = stage.runner.connect()
    head = f"{method} {target} HTTP/1.1\r\nhOST: a\r\nX-Two: a\r\nX-Two:  b\r\nContent-Length: 4\r\n\r\n"
    handler.send(head.encode() + b"body")
    answer = handler.read_response()
    request = stage.runtime_api.await_whole_request(target)
    assert request.head == head.replace(":  b", ": b").encode()
    assert request.body == b"body"
    assert answer.head + answer.body == response(207, b"the answer", answered)


def test_a_head_request_gets_the_head_alone(stage: Stage) -> None:
    stage.runtime_api.plan("/2018-06-01/ping", reply_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"))
    handler = stage.runner.connect()
    handler.ask("HEAD", "/2018-06-01/ping")
    assert handler.read_head().get("Content-Length") == "4"
    assert stage.next_invocation(handler)


def test_many_different_heads_are_all_relayed_as_they_are(prepare: Prepare) -> None:
    """More than are remembered: what was judged once must never stand for something else."""
    stage = prepare(MODE="AfterError")
    handler = stage.runner.connect()
    for number in range(150):
        path = f"/2018-06-01/odd/{number}"
        stage.runtime_api.plan(path, reply(200, b"%d" % number, [("X-Number", str(number))]))
        assert handler.exchange("GET", path).body == b"%d" % number
        assert stage.runtime_api.requests[-1].target == path
