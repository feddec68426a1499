"""What is said of waits that had to be given up can be queried like what is said of commands."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from aws_lambda_post_runner.invocation import Invocation, Wait
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Level

from .conftest import Prepare
from .running import Running, Stage

JSON = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}

GIVING_UP: dict[str, Callable[[Running], None]] = {
    "exit": Running.end_handler,
    "shutdown": lambda runner: runner.signal(signal.SIGTERM),
}


def wait_for_ever(stage: Stage, **event: Any) -> str:
    """Let the handler ask for two waits that it never ends, and answer; return the request id."""
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler, **event)
    for _ in range(2):
        assert helper.exchange("POST", "/post-runner/v1/invocation/current/wait").status == 201
    handler.answer(request_id)
    return request_id


def warning_of(stage: Stage) -> dict[str, object]:
    record: dict[str, object] = json.loads(
        stage.runner.stderr.await_line(lambda line: "waits did not" in line)
    )
    return record


def fields_of(request_id: str, cut_off_by: str) -> dict[str, object]:
    return {
        "level": "WARN",
        "requestId": request_id,
        "outcome": "response",
        "expiredWaits": 2,
        "cutOffBy": cut_off_by,
    }


BOUNDS = [("timeout", "200ms", 60), ("deadline", "60s", 1)]


@pytest.mark.parametrize(("bound", "timeout", "seconds"), BOUNDS, ids=["timeout", "deadline"])
def test_waits_that_overran_their_budget_are_told_with_fields(
    prepare: Prepare, bound: str, timeout: str, seconds: float
) -> None:
    stage = prepare(environment=JSON, MODE="WaitUntil", TIMEOUT=timeout)
    request_id = wait_for_ever(stage, seconds=seconds)
    warning = warning_of(stage)
    assert fields_of(request_id, bound).items() <= warning.items()
    assert warning["message"] == f"2 of the handler's waits did not end before the {bound}"


@pytest.mark.parametrize("cause", GIVING_UP)
def test_waits_that_are_given_up_at_the_end_are_told_with_fields(prepare: Prepare, cause: str) -> None:
    stage = prepare(environment=JSON, MODE="WaitUntil")
    request_id = wait_for_ever(stage)
    GIVING_UP[cause](stage.runner)
    assert fields_of(request_id, cause).items() <= warning_of(stage).items()


# Names, and waits that ended well


def begin_wait(stage: Stage, body: bytes) -> str:
    """Ask for a wait with this body; return its token."""
    response = stage.runner.connect().exchange("POST", "/post-runner/v1/invocation/current/wait", body)
    assert response.status == 201
    token: str = json.loads(response.body)["token"]
    return token


def test_waits_that_were_given_up_are_told_by_the_names_that_they_have(prepare: Prepare) -> None:
    stage = prepare(environment=JSON, MODE="WaitUntil", TIMEOUT="200ms")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    begin_wait(stage, b'{"name": "send_mail"}')
    begin_wait(stage, b"")
    handler.answer(request_id)
    warning = warning_of(stage)
    assert warning["message"] == "2 of the handler's waits did not end before the timeout: send_mail"
    assert warning["expiredNames"] == ["send_mail"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "send_mail"}', "send_mail"),
        ('{"name": "größe"}'.encode(), "größe"),
        (b'{"name": "' + b"x" * 500 + b'"}', "x" * 100),
        (b'{"name": "two\\nlines"}', ""),
        (b'{"name": 7}', ""),
        (b'["name"]', ""),
        (b"not JSON", ""),
        (b"[" * 100_000, ""),
        (b'{"other": "x"}', ""),
        (b"", ""),
    ],
)
def test_a_wait_may_have_a_name_and_whatever_it_is_it_is_a_wait(
    prepare: Prepare, body: bytes, name: str
) -> None:
    stage = prepare(MODE="WaitUntil")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token = begin_wait(stage, body)
    assert stage.runner.await_event("wait-begun", request_id)["name"] == name
    handler.answer(request_id)
    assert handler.exchange("DELETE", f"/post-runner/v1/wait/{token}").status == 202
    ended = stage.runner.await_event("wait-ended", request_id)
    assert ended["name"] == name
    assert ended["durationMs"] >= 0
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 0


def test_waits_that_ended_well_are_told_at_info_with_the_same_fields(prepare: Prepare) -> None:
    stage = prepare(environment=JSON, MODE="WaitUntil", LOG_LEVEL="info")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    tokens = [begin_wait(stage, b"") for _ in range(2)]
    handler.answer(request_id)
    for token in tokens:
        handler.exchange("DELETE", f"/post-runner/v1/wait/{token}")
    line = json.loads(stage.runner.stderr.await_line(lambda line: '"waits-ended"' in line))
    assert (line["level"], line["requestId"], line["waits"]) == ("INFO", request_id, 2)
    assert (line["expiredWaits"], line["cutOffBy"], line["outcome"]) == (0, None, "response")
    assert line["message"] == f"the handler's waits, 2 in all, had ended after {line['durationMs']} ms"


def test_someone_who_looks_for_a_fault_sees_each_wait_by_its_name(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", LOG_LEVEL="debug")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    token = begin_wait(stage, b'{"name": "send_mail"}')
    handler.exchange("DELETE", f"/post-runner/v1/wait/{token}")
    ended = "send_mail that the handler asked us to wait for ended"
    assert request_id in stage.runner.stderr.await_line(lambda line: ended in line)
    assert "asks us to wait for send_mail" in stage.runner.stderr.text


def test_of_very_many_waits_that_are_given_up_the_line_names_the_first(prepare: Prepare) -> None:
    """CloudWatch cuts a line that is too long, and what is left of it is no JSON."""
    stage = prepare(environment=JSON, MODE="WaitUntil", TIMEOUT="200ms")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    for number in range(30):
        body = json.dumps({"name": f"wait {number}"}).encode()
        assert handler.exchange("POST", "/post-runner/v1/invocation/current/wait", body).status == 201
    handler.answer(request_id)
    warning = warning_of(stage)
    assert warning["expiredWaits"] == 30
    assert warning["expiredNames"] == [f"wait {number}" for number in range(20)]
    assert str(warning["message"]).endswith("wait 18, wait 19 and 10 more")


def test_a_wait_that_ends_well_is_told_to_nobody_who_did_not_ask(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither an observer is there, nor somebody who looks for a fault."""
    report = Report(Level.INFO)
    invocation, wait = Invocation("some-id"), Wait("flush", time.time())
    report.wait_begun(invocation, wait)
    report.wait_ended(invocation, wait)
    assert capfd.readouterr() == ("", "")
