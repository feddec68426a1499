"""What is said of waits that had to be given up can be queried like what is said of commands."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

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
