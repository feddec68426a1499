"""What a post command finds in its environment, and the files it can ask for."""

import hashlib
import json
import time
from pathlib import Path

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import FakeRuntimeApi, answer_path
from .running import PREFIX, RUNNER, Gate, HandlerConnection, Stage

MEBIBYTE = 1024 * 1024
BIG = bytes(range(256)) * (6 * MEBIBYTE // 256)
"""As large as an event or a response can be."""
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "environment"


def note_environment(seen: Path) -> str:
    return f"env -0 > {seen}"


def environment_in(seen: Path) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in seen.read_text().split("\0") if entry)


def ours_in(seen: Path) -> dict[str, str]:
    """What the command was told of the invocation, without the settings that the handler has too, and its mark."""
    settings = {"COMMAND", "MODE", "TIMEOUT", "CAPTURE", "CAPTURE_LIMIT", "MARK"}
    ours = {
        name.removeprefix(PREFIX): value
        for name, value in environment_in(seen).items()
        if name.startswith(PREFIX)
    }
    return {name: value for name, value in ours.items() if name not in settings}


def invoke_and_answer(stage: Stage, handler: HandlerConnection) -> str:
    request_id = stage.next_invocation(handler)
    assert handler.answer(request_id).status == 202
    stage.runner.await_event("post-command-ended", request_id)
    return request_id


# The invocation


def test_the_command_knows_its_invocation(stage: Stage, seen: Path) -> None:
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    before = time.time()
    headers = [("Lambda-Runtime-Aws-Tenant-Id", "blue"), ("Lambda-Runtime-Invoked-Function-Arn", ARN)]
    request_id = stage.next_invocation(handler, seconds=60.0, headers=headers)
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    ours = ours_in(seen)
    deadline, remaining = int(ours.pop("DEADLINE_MS")), int(ours.pop("REMAINING_MS"))
    assert before * 1000 + 59_000 < deadline <= time.time() * 1000 + 60_000
    assert 50_000 < remaining <= 59_500
    assert ours == {
        "REQUEST_ID": request_id,
        "OUTCOME": "response",
        "FUNCTION_ARN": ARN,
        "TENANT_ID": "blue",
        "COLD_START": "true",
    }


def test_the_command_has_the_real_runtime_api_and_the_invocations_trace(
    start: Start, runtime_api: FakeRuntimeApi, seen: Path
) -> None:
    runner = start(COMMAND=note_environment(seen), environment={"_X_AMZN_TRACE_ID": "of another one"})
    handler = runner.connect()
    request_id = runtime_api.invoke(headers=[("Lambda-Runtime-Trace-Id", TRACE)])
    handler.poll()
    handler.answer(request_id)
    runner.await_event("post-command-ended", request_id)
    environment = environment_in(seen)
    assert environment["AWS_LAMBDA_RUNTIME_API"] == runtime_api.address
    assert environment["_X_AMZN_TRACE_ID"] == TRACE


def test_only_the_first_invocation_is_a_cold_start(stage: Stage, seen: Path) -> None:
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    told = []
    for _ in range(3):
        invoke_and_answer(stage, handler)
        told.append(ours_in(seen)["COLD_START"])
    assert told == ["true", "false", "false"]


@pytest.mark.parametrize(
    ("headers", "document", "expected"),
    [
        ({"Lambda-Runtime-Function-Error-Type": "Function.Broken"}, b"{}", "Function.Broken"),
        (
            {"Lambda-Runtime-Function-Error-Type": "Function.Broken"},
            b'{"errorType":"Other"}',
            "Function.Broken",
        ),
        ({}, b'{"errorMessage":"x","errorType":"ValueError"}', "ValueError"),
        ({}, b'{"errorMessage":"x"}', None),
        ({}, b'{"errorType":3}', None),
        ({}, b'{"errorType":"no\\u0000no"}', None),
        ({}, b'{"errorType":"\\ud800"}', None),
        ({}, b"not JSON", None),
        ({}, b"[" * 60_000, None),
        ({}, b'{"errorType":"TooFar","stackTrace":"' + b"x" * 70_000 + b'"}', None),
        ({}, b"", None),
    ],
)
def test_the_command_knows_the_error_that_the_handler_named(
    stage: Stage, seen: Path, headers: dict[str, str], document: bytes, expected: str | None
) -> None:
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert handler.exchange("POST", answer_path(request_id, "error"), document, headers).status == 202
    stage.runner.await_event("post-command-ended", request_id)
    ours = ours_in(seen)
    assert (ours["OUTCOME"], ours.get("ERROR_TYPE")) == ("error", expected)


def test_a_streamed_response_that_failed_half_way_is_an_error(stage: Stage, seen: Path) -> None:
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.send(
        f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nhalf\r\n0\r\nLambda-Runtime-Function-Error-Type: Function.Broke\r\n\r\n".encode()
    )
    assert handler.read_response().status == 202
    stage.runner.await_event("post-command-ended", request_id)
    ours = ours_in(seen)
    assert (ours["OUTCOME"], ours["ERROR_TYPE"]) == ("error", "Function.Broke")


def test_each_command_has_a_mark_of_its_own(stage: Stage, seen: Path) -> None:
    """By which all is found that it has started, if it has to be stopped."""
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    marks = set()
    for _ in range(3):
        invoke_and_answer(stage, handler)
        marks.add(environment_in(seen)[PREFIX + "MARK"])
    assert len(marks) == 3


def test_what_is_not_known_is_absent_even_if_the_handler_has_such_a_variable(
    start: Start, runtime_api: FakeRuntimeApi, seen: Path
) -> None:
    unknown = (
        "FUNCTION_ARN",
        "ERROR_TYPE",
        "TENANT_ID",
        "DEADLINE_MS",
        "REMAINING_MS",
        "EVENT_FILE",
        "RESPONSE_FILE",
    )
    runner = start(
        COMMAND=note_environment(seen), environment={PREFIX + name: "a stranger's" for name in unknown}
    )
    handler = runner.connect()
    request_id = runtime_api.invoke(seconds=None)
    handler.poll()
    handler.answer(request_id)
    runner.await_event("post-command-ended", request_id)
    assert set(ours_in(seen)) == {"REQUEST_ID", "OUTCOME", "COLD_START"}


def test_remaining_is_what_is_left_of_the_commands_own_budget(prepare: Prepare, seen: Path) -> None:
    stage = prepare(TIMEOUT="30s")
    stage.run_after(note_environment(seen))
    invoke_and_answer(stage, stage.runner.connect())
    assert 25_000 < int(ours_in(seen)["REMAINING_MS"]) <= 30_000


# The event and the response


def look_at(name: str, found: Path) -> str:
    """Commands that note the mode, the hash and the path of a captured file."""
    return (
        f'file="${PREFIX}{name}_FILE"; '
        f'{{ stat -c %a "$file"; sha256sum < "$file" | cut -c 1-64; echo "$file"; }} > {found}'
    )


def test_the_command_reads_a_whole_event_and_nothing_of_it_is_left(prepare: Prepare, tmp_path: Path) -> None:
    files, found = tmp_path / "files", tmp_path / "found"
    files.mkdir()
    stage = prepare(CAPTURE="event", environment={"TMPDIR": str(files)})
    stage.run_after(look_at("EVENT", found))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=BIG)
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    mode, digest, path = found.read_text().split()
    assert (mode, digest) == ("600", hashlib.sha256(BIG).hexdigest())
    assert Path(path).parent == files
    assert list(files.iterdir()) == []


def test_an_event_that_was_captured_is_not_kept_in_memory(prepare: Prepare) -> None:
    # What libc has got back it gives back only where nothing lies above it in its heap; these it maps one by one.
    stage = prepare(CAPTURE="event,response", environment={"MALLOC_MMAP_THRESHOLD_": "4096"})
    handler = stage.runner.connect()
    invoke_and_answer(stage, handler)
    before = stage.runner.memory()
    for _ in range(10):
        request_id = stage.next_invocation(handler, body=BIG)
        handler.answer(request_id, BIG)
        stage.runner.await_event("post-command-ended", request_id)
        assert stage.runner.memory() - before < 3 * MEBIBYTE


def test_without_capture_nothing_is_kept_of_large_events(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    before = stage.runner.memory()
    for _ in range(10):
        request_id = stage.next_invocation(handler, body=BIG)
        handler.answer(request_id, BIG)
    assert stage.runner.memory() - before < 2 * MEBIBYTE


def test_the_command_reads_the_response_too(prepare: Prepare, tmp_path: Path) -> None:
    event, response = tmp_path / "event", tmp_path / "response"
    stage = prepare(CAPTURE="event, response")
    stage.run_after(f'cat "${PREFIX}EVENT_FILE" > {event}; cat "${PREFIX}RESPONSE_FILE" > {response}')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=b"asked")
    handler.answer(request_id, b"answered")
    stage.runner.await_event("post-command-ended", request_id)
    assert (event.read_bytes(), response.read_bytes()) == (b"asked", b"answered")


def test_a_response_in_chunks_and_an_error_are_captured_as_well(prepare: Prepare, tmp_path: Path) -> None:
    response = tmp_path / "response"
    stage = prepare(CAPTURE="response")
    stage.run_after(f'cat "${PREFIX}RESPONSE_FILE" > {response}')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.send(
        f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + b"3\r\nabc\r\n" * 20_000
        + b"0\r\n\r\n"
    )
    assert handler.read_response().status == 202
    stage.runner.await_event("post-command-ended", request_id)
    assert response.read_bytes() == b"abc" * 20_000
    request_id = stage.next_invocation(handler)
    handler.exchange("POST", answer_path(request_id, "error"), b'{"errorType":"E"}')
    stage.runner.await_event("post-command-ended", request_id)
    assert response.read_bytes() == b'{"errorType":"E"}'


def test_capturing_a_response_does_not_hold_it_up(prepare: Prepare) -> None:
    """The first half is at the Runtime API before the second has been sent."""
    stage = prepare(CAPTURE="event,response")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.send(
        f"POST {answer_path(request_id)} HTTP/1.1\r\nHost: us\r\nContent-Length: 8\r\n\r\nhalf".encode()
    )
    request = stage.runtime_api.await_request(answer_path(request_id))
    stage.runtime_api.wait_for(lambda: request.body == b"half", "the first half")
    handler.send(b"half")
    assert handler.read_response().status == 202


def test_an_event_over_the_limit_is_absent_and_the_report_says_so(prepare: Prepare, seen: Path) -> None:
    stage = prepare(CAPTURE="event,response", CAPTURE_LIMIT="1KiB")
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=b"x" * 1025)
    handler.answer(request_id, b"x" * 1024)
    assert stage.runner.await_event("post-command-ended", request_id)["notCaptured"] == ["event"]
    ours = ours_in(seen)
    assert "EVENT_FILE" not in ours
    assert "RESPONSE_FILE" in ours
    line = stage.runner.stderr.await_line(lambda line: "without the event" in line)
    assert line.startswith("[WARN]")
    assert request_id in line


def test_without_a_place_to_write_the_command_runs_without_the_event(prepare: Prepare, seen: Path) -> None:
    stage = prepare(CAPTURE="event", environment={"TMPDIR": "/no/such/folder"})
    stage.run_after(note_environment(seen))
    handler = stage.runner.connect()
    request_id = invoke_and_answer(stage, handler)
    assert "EVENT_FILE" not in ours_in(seen)
    assert stage.runner.stderr.await_line(lambda line: "without the event" in line and request_id in line)


def test_an_event_that_does_not_fit_on_the_disk_is_absent(
    start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    limited = ["sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", *RUNNER]
    runner = start(runner=limited, CAPTURE="event", COMMAND="exit 5", environment={"TMPDIR": str(files)})
    request_id = runtime_api.invoke(BIG)
    handler = runner.connect()
    handler.poll()
    handler.answer(request_id)
    ended = runner.await_event("post-command-ended", request_id)
    assert (ended["exitStatus"], ended["notCaptured"]) == (5, ["event"])
    assert list(files.iterdir()) == []


def test_a_command_that_is_cut_off_leaves_no_file_behind(
    prepare: Prepare, tmp_path: Path, gate: Gate
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    stage = prepare(CAPTURE="event", TIMEOUT="200ms", environment={"TMPDIR": str(files)})
    stage.run_after(gate.wait)
    request_id = invoke_and_answer(stage, stage.runner.connect())
    assert stage.runner.events("post-command-ended", request_id)[0]["cutOffBy"] == "timeout"
    assert list(files.iterdir()) == []


def test_a_command_may_take_its_file_away(prepare: Prepare, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    stage = prepare(CAPTURE="event", environment={"TMPDIR": str(tmp_path)})
    stage.run_after(f'mv "${PREFIX}EVENT_FILE" {taken}')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=json.dumps({"n": 1}).encode())
    handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert json.loads(taken.read_bytes()) == {"n": 1}
