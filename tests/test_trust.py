"""Nobody but the handler reaches us, nothing ambiguous gets through us, and we keep to ourselves what passes."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import NEXT, FakeRuntimeApi, answer_path, reply, reply_bytes
from .running import Running, Stage

needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are looked up in /proc")

POLL = f"GET {NEXT} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


# Only this machine reaches us.


@needs_proc
def test_nothing_but_one_port_of_127_0_0_1_is_bound(stage: Stage) -> None:
    _, port = stage.runner.address
    assert bound_addresses(stage.runner) == {f"0100007F:{port:04X}"}


def bound_addresses(runner: Running) -> set[str]:
    """The local addresses, as /proc has them, of all sockets that listen or take datagrams."""
    inodes = {inode for pid in runner.processes() for inode in socket_inodes(pid)}
    bound = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, address, _, state, *_ = fields = line.split()
            listens = state == "0A" or table.startswith("udp")
            if listens and fields[9] in inodes:
                bound.add(address)
    return bound


def socket_inodes(pid: int) -> set[str]:
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]
    return {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}


def test_one_that_listens_on_another_address_of_this_machine_is_not_reached(stage: Stage) -> None:
    _, port = stage.runner.address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


# What two readers could read in two ways goes no further.


def post(*lines: str, body: str = "hello") -> bytes:
    head = [f"POST {answer_path('1')} HTTP/1.1", "Host: x", *lines, "", body]
    return "\r\n".join(head).encode("latin-1")


def get(target: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


AMBIGUOUS = {
    "two lengths that differ": post("Content-Length: 5", "Content-Length: 6"),
    "two lengths that differ in one line": post("Content-Length: 5, 6"),
    "two lengths that are the same": post("Content-Length: 5", "Content-Length: 5"),
    "two lengths that are the same in one line": post("content-length: 5, 5"),
    "a length that is none": post("Content-Length: five"),
    "a length with a sign": post("Content-Length: +5"),
    "a length and chunks": post("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "chunks and a length": post("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"),
    "a folded header": post("X-A: 1", " Content-Length: 4", "Content-Length: 5"),
    "a folded length": post("Content-Length:", "\t5"),
    "a space before the colon": post("Content-Length : 5"),
    "a header without a name": post(": 5", "Content-Length: 5"),
    "a zero byte": post("X-A: \x00", "Content-Length: 5"),
    "a carriage return alone": post("X-A: 1\rContent-Length: 4", "Content-Length: 5"),
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "two hosts": get("/x", "Host: y"),
    "an absolute target": get("http://elsewhere/x"),
    "an absolute target of our own": get("http://127.0.0.1" + NEXT),
    "CONNECT": b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    "CONNECT to a path": b"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_it_is_refused_with_400_and_the_connection_closed(kind: str, stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.send(AMBIGUOUS[kind] + POLL)
    assert handler.read_response().status == 400
    assert handler.is_closed_by_peer()
    assert stage.runtime_api.requests == []


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_it_is_refused_after_a_good_request_on_the_same_connection(kind: str, stage: Stage) -> None:
    handler = stage.runner.connect()
    stage.next_invocation(handler)
    handler.send(AMBIGUOUS[kind] + POLL)
    assert handler.read_response().status == 400
    assert handler.is_closed_by_peer()
    assert [each.target for each in stage.runtime_api.requests] == [NEXT]


@pytest.mark.parametrize("chunk", [b"-5\r\nhello\r\n", b"5\r\nhello!!\r\n", b"0x5\r\nhello\r\n", b"\r\n"])
def test_a_body_that_turns_out_malformed_is_cut_and_not_completed(chunk: bytes, stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    handler.send_chunk(b"good")
    request = stage.runtime_api.await_request("/response")
    stage.runtime_api.wait_for(lambda: request.body == b"good", "what came before")
    handler.send(chunk + b"0\r\n\r\n")
    assert handler.is_closed_by_peer()
    stage.runtime_api.wait_for(lambda: request.cut, "the cut")
    assert request.body == b"good"
    assert stage.runner.events("settled") == []


# What passes is nobody's business.

SECRET = "s3cr3t"  # noqa: S105 - it stands for one


def hostile_headers(value: str) -> list[tuple[str, str]]:
    names = ["Aws-Tenant-Id", "Client-Context", "Cognito-Identity", "Trace-Id", "Invoked-Function-Arn"]
    return [(f"Lambda-Runtime-{name}", value) for name in names]


def answer(stage: Stage, request_id: str) -> None:
    stage.runner.connect().answer(request_id, f'"{SECRET}"'.encode())


def answer_with_an_error(stage: Stage, request_id: str) -> None:
    headers = {"Lambda-Runtime-Function-Error-Type": f"Function.{SECRET}", "X-Cause": SECRET}
    body = f'{{"errorMessage":"{SECRET}"}}'.encode()
    stage.runner.connect().exchange("POST", answer_path(request_id, "error"), body, headers)


def answer_and_be_refused(stage: Stage, request_id: str) -> None:
    stage.runtime_api.plan("/response", reply(500, SECRET.encode(), [("X-Why", SECRET)]))
    answer(stage, request_id)


def answer_and_get_nonsense(stage: Stage, request_id: str) -> None:
    stage.runtime_api.plan("/response", reply_bytes(f"{SECRET} HTTP\r\n{SECRET}\r\n\r\n".encode()))
    handler = stage.runner.connect()
    handler.ask("POST", answer_path(request_id), SECRET.encode())
    assert handler.is_closed_by_peer()


def answer_with_a_length_that_is_too_small(stage: Stage, request_id: str) -> None:
    handler = stage.runner.connect()
    handler.send(get(answer_path(request_id), "Content-Length: 1").replace(b"GET", b"POST"))
    handler.send(f"x{SECRET} {SECRET}: {SECRET}\r\n\r\n".encode())
    assert [handler.read_response().status, handler.read_response().status] == [202, 400]


def answer_with_a_broken_header(stage: Stage, request_id: str) -> None:
    handler = stage.runner.connect()
    handler.send(get(answer_path(request_id), f"{SECRET} {SECRET}"))
    assert handler.read_response().status == 400


def answer_with_broken_chunks(stage: Stage, request_id: str) -> None:
    for chunk in (f"{SECRET}\r\n", f"1\r\n{SECRET}\r\n"):
        handler = stage.runner.connect()
        handler.begin_stream(answer_path(request_id))
        handler.send(chunk.encode())
        assert handler.is_closed_by_peer()


def answer_and_hang_up(stage: Stage, request_id: str) -> None:
    handler = stage.runner.connect()
    handler.send(post("Content-Length: 1000", body=SECRET).replace(b"/1/", f"/{request_id}/".encode()))
    handler.close()


def hand_over_work(stage: Stage, request_id: str) -> None:
    handler = stage.runner.connect()
    target = f"/post-runner/v1/invocation/{request_id}/work"
    assert handler.exchange("POST", target, SECRET.encode()).status == 202
    assert handler.exchange("POST", "/post-runner/v1/nothing", SECRET.encode()).status == 404
    handler.answer(request_id)


ANSWERS: list[Callable[[Stage, str], None]] = [
    answer,
    answer_with_an_error,
    answer_and_be_refused,
    answer_and_get_nonsense,
    answer_with_a_length_that_is_too_small,
    answer_with_a_broken_header,
    answer_with_broken_chunks,
    answer_and_hang_up,
    hand_over_work,
]


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("how", ANSWERS)
def test_no_byte_of_an_event_a_response_or_the_environment_is_logged(
    how: Callable[[Stage, str], None], log_format: str, prepare: Prepare
) -> None:
    """At the lowest level, whatever goes wrong; the command fails, so that there is something to say of it."""
    stage = prepare(
        environment={"AWS_LAMBDA_LOG_FORMAT": log_format, "PASSWORD": SECRET},
        COMMAND=f": {SECRET}; exit 3",
        LOG_LEVEL="trace",
        CAPTURE="event,response",
    )
    poller = stage.runner.connect()
    request_id = stage.next_invocation(
        poller, body=f'{{"key":"{SECRET}"}}'.encode(), headers=hostile_headers(SECRET)
    )
    how(stage, request_id)
    stage.runner.end_handler()
    stage.runner.wait()
    said = stage.runner.said()
    assert "the handler asks" in said  # it does speak at this level
    assert SECRET not in said
    assert "Traceback" not in said


def test_wrong_settings_show_only_the_values_that_are_wrong(start: Start) -> None:
    runner = start(environment={"PASSWORD": SECRET}, MODE="AfterRespons", COMMAND=f": {SECRET}")
    assert runner.wait() == 1
    assert "AfterRespons" in runner.said()
    assert SECRET not in runner.said()


# What passes is never a command.

HOSTILE = "$(touch touched)`touch touched`;touch touched;'\"\\"


def test_the_shell_gets_the_command_as_it_was_set_and_nothing_else(
    start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    shell, arguments = tmp_path / "shell", tmp_path / "arguments"
    shell.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$#" "$@" > {arguments}\n')
    shell.chmod(0o755)
    command = "echo $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"
    runner = start(SHELL=str(shell), COMMAND=command)
    invoke_with_hostile_values(runner, runtime_api)
    assert arguments.read_text() == f"2\n-c\n{command}\n"


def test_hostile_values_stay_values_in_the_commands_environment(
    start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    command = f"cd {tmp_path} && env > environment"
    request_id = invoke_with_hostile_values(start(COMMAND=command), runtime_api)
    environment = (tmp_path / "environment").read_bytes().decode()
    assert f"AWS_LAMBDA_POST_RUNNER_REQUEST_ID={request_id}\n" in environment
    assert f"AWS_LAMBDA_POST_RUNNER_TENANT_ID={HOSTILE}\n" in environment
    assert f"AWS_LAMBDA_POST_RUNNER_ERROR_TYPE={HOSTILE}\n" in environment
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment"]


def invoke_with_hostile_values(runner: Running, runtime_api: FakeRuntimeApi) -> str:
    """One invocation with what a shell would act on, wherever it can be put; return its request id."""
    handler = runner.connect()
    request_id = "$(touch${IFS}touched);`touch${IFS}touched`"
    runtime_api.invoke(HOSTILE.encode(), request_id=request_id, headers=hostile_headers(HOSTILE))
    assert handler.poll() == request_id
    assert handler.answer_error(request_id, HOSTILE).status == 202
    runner.await_event("post-command-ended")
    return request_id
