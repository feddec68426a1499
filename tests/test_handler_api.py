"""What the handler can ask of the runner itself: work for the command, and to be waited for."""

import json
import signal
import socket
import threading
from pathlib import Path

import pytest

from .conftest import Prepare
from .fake_runtime_api import PATIENCE, Exchange, answer_path, response
from .running import Gate, HandlerConnection, Response, Stage, wait_until

MEBIBYTE = 1024 * 1024


def work_path(request_id: str = "current") -> str:
    return f"/post-runner/v1/invocation/{request_id}/work"


def wait_path(request_id: str = "current") -> str:
    return f"/post-runner/v1/invocation/{request_id}/wait"


def token_of(response: Response) -> str:
    assert response.status == 201, response
    token: str = json.loads(response.body)["token"]
    return token


def end_wait(connection: HandlerConnection, token: str) -> int:
    return connection.exchange("DELETE", f"/post-runner/v1/wait/{token}").status


def is_problem(response: Response, status: int) -> bool:
    """The response is an error in the Runtime API's own form."""
    document = json.loads(response.body)
    return (
        response.status == status
        and response.get("Content-Type") == "application/json"
        and set(document) == {"errorMessage", "errorType"}
        and all(document.values())
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder that gets the standard input of each command, in a file named by its request id."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


def keep_input(inputs: Path) -> str:
    return f'cat > {inputs}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"'


# Work


def test_work_is_a_line_of_the_commands_input(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    accepted = helper.exchange("POST", work_path(request_id), b'{"user":1}')
    assert (accepted.status, json.loads(accepted.body)) == (202, {"status": "OK"})
    assert helper.exchange("POST", work_path(), b"by the name of current").status == 202
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == b'{"user":1}\nby the name of current\n'


def test_work_keeps_its_own_line_ends_and_is_not_given_a_second_one(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    for body in (b"two\nlines", b"one that ends\n", b"", b"\x00\xff\r"):
        assert handler.exchange("POST", work_path(), body).status == 202
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == b"two\nlines\none that ends\n\n\x00\xff\r\n"


def test_work_from_several_threads_stays_in_whole_lines(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)

    def hand_over(thread: int) -> None:
        helper = stage.runner.connect()
        for number in range(25):
            helper.exchange("POST", work_path(), b"%d-%d-%b" % (thread, number, b"x" * 1000))

    threads = [threading.Thread(target=hand_over, args=[number]) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    lines = (inputs / request_id).read_bytes().splitlines()
    assert sorted(lines) == sorted(
        b"%d-%d-%b" % (thread, number, b"x" * 1000) for thread in range(8) for number in range(25)
    )


def test_work_may_come_in_chunks_and_may_ask_before_it_is_sent(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    head = f"POST {work_path()} HTTP/1.1\r\nHost: us\r\n"
    handler.send(f"{head}Transfer-Encoding: chunked\r\n\r\n3\r\nin \r\n6\r\nchunks\r\n0\r\n\r\n".encode())
    assert handler.read_response().status == 202
    handler.send(f"{head}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    assert handler.read_response().status == 100
    handler.send(b"asked")
    assert handler.read_response().status == 202
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == b"in chunks\nasked\n"


def test_a_command_that_does_not_read_its_work_ends_as_any_other(stage: Stage) -> None:
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert handler.exchange("POST", work_path(), b"x" * (MEBIBYTE - 1)).status == 202
    handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 3


def test_an_invocation_without_work_gives_the_command_an_empty_input(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == b""


def test_work_that_comes_slowly_delays_nobody(stage: Stage) -> None:
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    helper.send(f"POST {work_path()} HTTP/1.1\r\nHost: us\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert handler.answer(request_id).status == 202
    assert stage.next_invocation(handler) != request_id


def test_nothing_that_is_asked_of_us_is_sent_on(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.exchange("POST", work_path(), b"work")
    token = token_of(handler.exchange("POST", wait_path()))
    assert end_wait(handler, token) == 202
    handler.exchange("GET", "/post-runner/v2/whatever")
    handler.answer(request_id)
    targets = [request.target for request in stage.runtime_api.requests]
    assert targets[1:] == [answer_path(request_id)]


# Mode OnRequest


def test_on_request_the_command_runs_only_for_those_who_asked(prepare: Prepare, inputs: Path) -> None:
    stage = prepare(MODE="OnRequest")
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    asking: dict[str, bytes] = {}
    for number in range(100):
        request_id = stage.next_invocation(handler)
        if number % 15 == 7:
            asking[request_id] = b"line of %d\n" % number
            assert handler.exchange("POST", work_path(), asking[request_id]).status == 202
        assert handler.answer(request_id).status == 202
    stage.runner.end_handler()
    assert stage.runner.wait() == 0
    ended = stage.runner.events("post-command-ended")
    assert [record["requestId"] for record in ended] == list(asking)
    assert len(asking) == 7
    assert {path.name: path.read_bytes() for path in inputs.iterdir()} == asking


@pytest.mark.parametrize(
    ("asks", "fails", "runs"), [(False, False, 0), (True, False, 1), (False, True, 1), (True, True, 1)]
)
def test_on_request_combines_with_after_error(
    prepare: Prepare, *, asks: bool, fails: bool, runs: int
) -> None:
    stage = prepare(MODE="OnRequest, AfterError")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    if asks:
        handler.exchange("POST", work_path(), b"work")
    answer = handler.answer_error if fails else handler.answer
    assert answer(request_id).status == 202
    stage.runner.end_handler()
    stage.runner.wait()
    assert len(stage.runner.events("post-command-ended")) == runs


# Waits


def test_the_next_poll_is_held_until_the_last_wait_has_ended(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    tokens = [token_of(helper.exchange("POST", wait_path(name))) for name in (request_id, "current")]
    handler.answer(request_id)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    assert end_wait(helper, tokens[0]) == 202
    assert len(stage.runner.events("poll-relayed")) == 1
    assert end_wait(helper, tokens[1]) == 202
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 0
    stage.runner.await_event("poll-relayed", nth=2)
    assert stage.runner.events("post-command-started") == []
    assert stage.runner.stderr.lines == []


def test_without_waits_mode_wait_until_holds_nothing(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler = stage.runner.connect()
    for _ in range(3):
        request_id = stage.next_invocation(handler)
        token = token_of(handler.exchange("POST", wait_path()))
        assert end_wait(handler, token) == 202
        handler.answer(request_id)
    assert stage.runner.events("poll-held") == []


def test_a_wait_and_the_command_both_hold_the_poll(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token = token_of(helper.exchange("POST", wait_path()))
    handler.answer(request_id)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    gate.release()
    stage.runner.await_event("post-command-ended", request_id)
    assert len(stage.runner.events("poll-relayed")) == 1
    assert end_wait(helper, token) == 202
    stage.runner.await_event("poll-relayed", nth=2)


@pytest.mark.parametrize(("timeout", "seconds", "bound"), [("200ms", 60.0, "timeout"), ("", 1.0, "deadline")])
def test_a_wait_cannot_hold_the_poll_past_the_budget(
    prepare: Prepare, timeout: str, seconds: float, bound: str
) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="", TIMEOUT=timeout)
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=seconds)
    token = token_of(helper.exchange("POST", wait_path()))
    handler.answer(request_id)
    handler.send_poll()
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 1
    stage.runner.await_event("poll-relayed", nth=2)
    line = stage.runner.stderr.await_line(lambda line: bound in line)
    assert line.startswith("[WARN]")
    assert request_id in line
    assert is_problem(helper.exchange("DELETE", f"/post-runner/v1/wait/{token}"), 404)


def test_while_the_command_runs_something_more_can_be_waited_for(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    tokens = [token_of(helper.exchange("POST", wait_path(name))) for name in (request_id, "current")]
    gate.release()
    stage.runner.await_event("post-command-ended", request_id)
    assert [end_wait(helper, token) for token in tokens] == [202, 202]
    stage.runner.await_event("waits-ended", request_id)
    assert is_problem(helper.exchange("POST", wait_path(request_id)), 404)


def test_a_handler_that_exits_leaves_no_wait_behind(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token_of(handler.exchange("POST", wait_path()))
    handler.answer(request_id)
    stage.runner.end_handler(7)
    assert stage.runner.wait() == 7
    assert stage.runner.stderr.await_line(lambda line: request_id in line and "exited" in line)


def test_a_shutdown_ends_all_waits(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token_of(handler.exchange("POST", wait_path()))
    handler.answer(request_id)
    stage.runner.signal(signal.SIGTERM)
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 1
    assert stage.runner.stderr.await_line(lambda line: request_id in line and "shutdown" in line)
    assert stage.runner.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("connected", ["before", "just now"])
def test_what_was_asked_before_the_answer_counts_even_if_nobody_waited_until_it_was_heard(
    prepare: Prepare, connected: str
) -> None:
    """Node's helper writes what it asks and goes on: here both are unread when the runner's turn comes."""
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler, helper = stage.runner.connect(), stage.runner.connect()
    for _ in range(10):
        request_id = stage.next_invocation(handler)
        acknowledged = threading.Event()

        def acknowledge_early(exchange: Exchange, acknowledged: threading.Event = acknowledged) -> None:
            exchange.read_some(4)
            exchange.send(response(202))
            acknowledged.set()
            exchange.read_some(4)

        stage.runtime_api.plan(answer_path(request_id), acknowledge_early)
        handler.send(
            f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: us\r\nContent-Length: 8\r\n\r\nhalf".encode()
        )
        assert acknowledged.wait(PATIENCE)
        stage.runner.signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(stage.runner.process.pid), "the stop of the runner")
        if connected == "just now":
            helper = stage.runner.connect()
        helper.ask("POST", wait_path())
        handler.send(b"half")
        stage.runner.signal(signal.SIGCONT)
        token = token_of(helper.read_response())
        assert handler.read_response().status == 202
        assert end_wait(helper, token) == 202


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


# What is refused


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", work_path("no-such-id")),
        ("POST", wait_path("no-such-id")),
        ("DELETE", "/post-runner/v1/wait/no-such-token"),
        ("GET", "/post-runner/v1/invocation/current/work"),
        ("PUT", "/post-runner/v1/invocation/current/work"),
        ("POST", "/post-runner/v2/invocation/current/work"),
        ("POST", "/post-runner/v1/invocation/work"),
        ("POST", "/post-runner/v1/invocation/current/work/more"),
        ("GET", "/post-runner/"),
    ],
)
def test_what_does_not_exist_is_not_found(stage: Stage, method: str, target: str) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert is_problem(handler.exchange(method, target, b""), 404)
    assert handler.answer(request_id).status == 202


def test_a_head_request_gets_no_body(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.send(f"HEAD {work_path()} HTTP/1.1\r\nHost: us\r\n\r\n".encode())
    assert handler.read_head().status == 404
    assert handler.answer(request_id).status == 202


def test_a_client_of_http_1_0_is_answered_and_left(stage: Stage) -> None:
    handler = stage.runner.connect()
    stage.next_invocation(handler)
    helper = stage.runner.connect()
    helper.send(f"POST {work_path()} HTTP/1.0\r\nContent-Length: 4\r\n\r\nwork".encode())
    assert helper.read_response().status == 202
    assert helper.is_closed_by_peer()


def test_an_ended_wait_cannot_end_again(stage: Stage) -> None:
    handler = stage.runner.connect()
    stage.next_invocation(handler)
    token = token_of(handler.exchange("POST", wait_path()))
    assert end_wait(handler, token) == 202
    assert is_problem(handler.exchange("DELETE", f"/post-runner/v1/wait/{token}"), 404)


def test_an_answered_invocation_takes_no_more_work(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    assert is_problem(handler.exchange("POST", work_path(request_id), b"late"), 404)
    gate.release()


@pytest.mark.parametrize("path", [work_path(), wait_path()])
def test_current_is_nobody_while_nothing_is_in_flight(stage: Stage, path: str) -> None:
    assert is_problem(stage.runner.connect().exchange("POST", path, b"work"), 409)


def test_a_mebibyte_of_work_is_the_most_for_one_invocation(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert is_problem(handler.exchange("POST", work_path(), b"x" * (MEBIBYTE + 1)), 413)
    half = b"x" * (MEBIBYTE // 2 - 1)
    assert handler.exchange("POST", work_path(), half).status == 202
    assert handler.exchange("POST", work_path(), half).status == 202
    assert is_problem(handler.exchange("POST", work_path(), b"one more"), 413)
    assert handler.answer(request_id).status == 202
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == (half + b"\n") * 2


def test_a_thousand_waits_are_the_most_for_one_invocation(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    tokens = {token_of(handler.exchange("POST", wait_path())) for _ in range(1000)}
    assert len(tokens) == 1000
    assert is_problem(handler.exchange("POST", wait_path()), 413)
    assert end_wait(handler, tokens.pop()) == 202
    tokens.add(token_of(handler.exchange("POST", wait_path())))
    handler.answer(request_id)
    assert {end_wait(handler, token) for token in tokens} == {202}


def test_work_that_is_cut_off_is_not_taken(stage: Stage, inputs: Path) -> None:
    stage.run_after(keep_input(inputs))
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler)
    helper.send(f"POST {work_path()} HTTP/1.1\r\nHost: us\r\nContent-Length: 100\r\n\r\nhalf".encode())
    helper.sock.shutdown(socket.SHUT_WR)
    assert helper.is_closed_by_peer()
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / request_id).read_bytes() == b""


# Managed Instances


def test_of_two_invocations_in_flight_neither_gets_what_is_the_others(prepare: Prepare, inputs: Path) -> None:
    stage = prepare(environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    stage.run_after(keep_input(inputs))
    handlers = stage.runner.connect(), stage.runner.connect()
    first, second = (stage.next_invocation(handler) for handler in handlers)
    assert is_problem(handlers[0].exchange("POST", work_path(), b"whose?"), 409)
    assert is_problem(handlers[0].exchange("POST", wait_path()), 409)
    # Each connection asks for the other's invocation: what counts is the id, not the connection.
    for number in range(3):
        handlers[0].exchange("POST", work_path(second), b"second %d" % number)
        handlers[1].exchange("POST", work_path(first), b"first %d" % number)
    tokens = {each: token_of(handlers[0].exchange("POST", wait_path(each))) for each in (first, second)}
    for handler, request_id in zip(handlers, (first, second), strict=True):
        handler.answer(request_id)
    for request_id in (first, second):
        stage.runner.await_event("post-command-ended", request_id)
    assert (inputs / first).read_bytes() == b"first 0\nfirst 1\nfirst 2\n"
    assert (inputs / second).read_bytes() == b"second 0\nsecond 1\nsecond 2\n"
    assert end_wait(handlers[0], tokens[second]) == 202
    stage.runner.await_event("waits-ended", second)
    assert stage.runner.events("waits-ended", first) == []
    assert end_wait(handlers[0], tokens[first]) == 202
    stage.runner.await_event("waits-ended", first)


def test_on_managed_instances_a_wait_holds_no_poll(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", COMMAND="", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "2"})
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token = token_of(handler.exchange("POST", wait_path()))
    handler.answer(request_id)
    next_id = stage.next_invocation(handler)
    assert stage.runner.events("poll-held") == []
    assert end_wait(handler, token) == 202
    stage.runner.await_event("waits-ended", request_id)
    handler.answer(next_id)


def test_the_runner_ends_when_waits_of_many_invocations_have(prepare: Prepare) -> None:
    """Nothing of an invocation stays behind: the last word of each is heard before the runner ends."""
    stage = prepare(MODE="WaitUntil", COMMAND="", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "20"})
    handler = stage.runner.connect()
    for _ in range(20):
        request_id = stage.next_invocation(handler)
        token_of(handler.exchange("POST", wait_path()))
        handler.answer(request_id)
    stage.runner.end_handler()
    assert stage.runner.wait() == 0
    wait_until(lambda: len(stage.runner.events("waits-ended")) == 20, "the end of all waits")
