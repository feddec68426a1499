"""What is known of an invocation, and what of it a post command gets."""

from pathlib import Path
from typing import NoReturn

import pytest

from aws_lambda_post_runner.invocation import (
    Budget,
    Invocation,
    Invocations,
    Outcome,
    Settled,
    State,
    budget_for,
    command_environment,
)
from aws_lambda_post_runner.post.capture import Capture, captured_files
from aws_lambda_post_runner.runtime_api import Call, ends_invocation, read_call
from aws_lambda_post_runner.settings import PREFIX, Settings, read


def settings_of(**variables: str) -> Settings:
    ours = {PREFIX + name: value for name, value in {"COMMAND": "true", **variables}.items()}
    return read({"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", **ours})


def event_head(request_id: bytes, **more: bytes) -> dict[bytes, bytes]:
    extra = {b"lambda-runtime-" + name.replace("_", "-").encode(): value for name, value in more.items()}
    return {b"lambda-runtime-aws-request-id": request_id, **extra}


@pytest.mark.parametrize(
    ("method", "target", "call", "request_id"),
    [
        (b"GET", b"/2018-06-01/runtime/invocation/next", Call.NEXT, ""),
        (b"GET", b"/2018-06-01/runtime/invocation/next?x=y", Call.NEXT, ""),
        (b"GET", b"/2030-01-01/runtime/invocation/next", Call.NEXT, ""),
        (b"POST", b"/2018-06-01/runtime/invocation/abc/response", Call.RESPONSE, "abc"),
        (b"POST", b"/2018-06-01/runtime/invocation/abc/error", Call.ERROR, "abc"),
        (b"GET", b"/2018-06-01/runtime/restore/next", Call.RESTORE_NEXT, ""),
        (b"POST", b"/2018-06-01/runtime/invocation/next", Call.OTHER, ""),
        (b"POST", b"/2018-06-01/runtime/init/error", Call.OTHER, ""),
        (b"GET", b"/2020-01-01/extension/event/next", Call.OTHER, ""),
        (b"GET", b"/", Call.OTHER, ""),
    ],
)
def test_a_call_is_read_from_method_and_path(
    method: bytes, target: bytes, call: Call, request_id: str
) -> None:
    assert read_call(method, target) == (call, request_id)


@pytest.mark.parametrize(
    ("status", "over"), [(200, True), (202, True), (410, True), (413, True), (400, False), (403, False)]
)
def test_a_status_tells_whether_the_invocation_is_over(status: int, *, over: bool) -> None:
    assert ends_invocation(status) is over


def test_only_the_first_invocation_is_a_cold_start() -> None:
    invocations = Invocations()
    assert invocations.add(event_head(b"a")).cold_start
    assert not invocations.add(event_head(b"b")).cold_start


def test_the_same_event_again_is_the_same_invocation() -> None:
    invocations = Invocations()
    first = invocations.add(event_head(b"a", deadline_ms=b"1"))
    assert invocations.add(event_head(b"a", deadline_ms=b"1")) is first


def test_the_same_request_id_later_is_another_invocation() -> None:
    invocations = Invocations()
    first = invocations.add(event_head(b"a", deadline_ms=b"1"))
    assert invocations.add(event_head(b"a", deadline_ms=b"2")) is not first


def test_invocation_ids_tell_two_attempts_apart() -> None:
    invocations = Invocations()
    first = invocations.add(event_head(b"a", invocation_id=b"1"))
    second = invocations.add(event_head(b"a", invocation_id=b"2"))
    assert invocations.find("a", "2") is second
    assert invocations.find("a") is first
    invocations.settle(first)
    assert invocations.unanswered() == [second]


def test_invocations_that_are_never_answered_do_not_pile_up() -> None:
    invocations = Invocations()
    for number in range(Invocations.LIMIT + 10):
        invocations.add(event_head(b"%d" % number))
    assert len(invocations.unanswered()) == Invocations.LIMIT
    assert invocations.find("0") is None


def test_an_invocation_is_in_one_state_at_a_time_until_it_is_over() -> None:
    invocations = Invocations()
    one = invocations.add(event_head(b"a"))
    for change, state in [(invocations.refuse, State.REFUSED), (invocations.settle, State.SETTLED)]:
        change(one)
        assert [each for each in State if one in invocations.in_state(each)] == [state]
    assert invocations.find("a") is None
    invocations.end(one)
    assert invocations.in_state(*State) == []


def test_a_retry_that_has_the_id_of_a_settled_invocation_is_another_one() -> None:
    invocations = Invocations()
    first = invocations.add(event_head(b"a", deadline_ms=b"1"))
    invocations.settle(first)
    second = invocations.add(event_head(b"a", deadline_ms=b"1"))
    assert second is not first
    assert invocations.find("a") is second
    assert invocations.in_state(*State) == [first, second]


def test_the_budget_is_the_nearer_of_timeout_and_deadline() -> None:
    invocation = Invocation("a", deadline_ms=10_000)
    assert budget_for(invocation, settings_of(TIMEOUT="2s"), now=1.0) == Budget(3.0, "timeout")
    assert budget_for(invocation, settings_of(TIMEOUT="30s"), now=1.0) == Budget(9.5, "deadline")
    assert budget_for(Invocation("a"), settings_of(), now=1.0) == Budget(None, "")


def test_the_margin_always_holds_the_grace() -> None:
    invocation = Invocation("a", deadline_ms=10_000)
    assert budget_for(invocation, settings_of(MARGIN="0s", GRACE="2s"), now=1.0).ends_at == 8.0


def test_what_is_left_of_a_budget_is_never_negative() -> None:
    assert Budget(5.0, "timeout").remaining(3.5) == 1.5
    assert Budget(5.0, "timeout").remaining(6.0) == 0.0
    assert Budget(None, "").remaining(6.0) is None


def test_a_command_gets_what_is_known_and_nothing_else() -> None:
    settled = Settled(Invocation("the-id", trace_id="Root=1"), Outcome.RESPONSE, "")
    handlers = {"HOME": "/", PREFIX + "TENANT_ID": "of somebody else", "_X_AMZN_TRACE_ID": "old"}
    assert command_environment(handlers, settled, 1.2345, {"event": "/somewhere/e"}) == {
        "HOME": "/",
        "_X_AMZN_TRACE_ID": "Root=1",
        PREFIX + "REQUEST_ID": "the-id",
        PREFIX + "OUTCOME": "response",
        PREFIX + "REMAINING_MS": "1234",
        PREFIX + "COLD_START": "false",
        PREFIX + "EVENT_FILE": "/somewhere/e",
    }


def test_a_body_for_which_memory_runs_out_passes_uncaptured(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture(limit=100)
    capture(b"abc")
    monkeypatch.setattr(Capture, "_keep", no_memory)
    capture(b"def")
    monkeypatch.undo()
    capture(b"ghi")
    assert capture.pieces is None
    assert capture.body is None


def no_memory(*_: object) -> NoReturn:
    raise MemoryError


def test_a_capture_keeps_all_or_nothing() -> None:
    capture = Capture(limit=4)
    capture(b"ab")
    capture(memoryview(b"cd"))
    assert capture.body == b"abcd"
    capture(b"e")
    assert capture.body is None


def test_captured_files_are_private_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with captured_files({"event": [bytearray(b"abc")], "response": None}) as files:
        assert set(files) == {"event"}
        file = Path(files["event"])
        assert file.read_bytes() == b"abc"
        assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_leaves_the_command_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with captured_files({"event": [bytearray(b"abc")]}) as files:
        assert files == {}
