"""With METRICS=emf each invocation leaves one line of metrics, and what it says is what happened."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from .conftest import Prepare
from .embedded_metrics import dimension_sets, metrics, problems
from .running import Gate, HandlerConnection, Running, Stage

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
JSON = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_FUNCTION_NAME": "orders"}
TEXT = {"AWS_LAMBDA_LOG_FORMAT": "Text", "AWS_LAMBDA_FUNCTION_NAME": "orders"}


def is_metrics(line: str) -> bool:
    return '"_aws"' in line


def metrics_of(runner: Running, request_id: str) -> dict[str, float]:
    """What the line about this invocation says, when it has come."""
    line = runner.stderr.await_line(lambda line: is_metrics(line) and request_id in line)
    assert problems(line) == []
    return {name: value for name, (value, _) in metrics(line).items()}


def counts_of(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value and not name.endswith("Ms")}


def invoke(stage: Stage, handler: HandlerConnection, **event: Any) -> str:
    request_id = stage.next_invocation(handler, **event)
    assert handler.answer(request_id).status == 202
    return request_id


@pytest.mark.parametrize("log_format", [TEXT, JSON], ids=["text", "json"])
def test_each_invocation_has_one_valid_line_in_either_log_format(
    prepare: Prepare, log_format: Mapping[str, str]
) -> None:
    stage = prepare(environment=log_format, METRICS="emf")
    handler = stage.runner.connect()
    ids = [invoke(stage, handler) for _ in range(3)]
    for request_id in ids:
        metrics_of(stage.runner, request_id)
    lines = [line for line in stage.runner.stderr.lines if is_metrics(line)]
    assert [json.loads(line).get("requestId") for line in lines] == [None, *ids]
    assert all(problems(line) == [] for line in lines)


def test_the_first_line_has_our_share_of_the_cold_start_once(prepare: Prepare) -> None:
    stage = prepare(environment=TEXT, METRICS="emf")
    line = stage.runner.stderr.await_line(is_metrics)
    assert list(metrics(line)) == ["StartMs"]
    assert 0 < metrics(line)["StartMs"][0] < 60_000
    assert dimension_sets(line) == [{"FunctionName": "orders"}]


def test_the_times_are_those_that_the_observer_was_told(prepare: Prepare, gate: Gate) -> None:
    """Each is compared with moments that lie within what it measures, or around it, however busy the machine is."""
    stage = prepare(TIMEOUT="30s", METRICS="emf")
    stage.run_after(gate.wait)
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = invoke(stage, handler)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    helper.exchange("GET", "/post-runner/v1/anything")  # when this is answered, the poll has begun to wait
    is_held = time.time()
    stage.runner.await_event("post-command-started")
    lets_go = time.time()
    gate.release()
    figures = metrics_of(stage.runner, request_id)
    started, ended = (
        stage.runner.events(name)[0]["time"] for name in ("post-command-started", "post-command-ended")
    )
    polled = stage.runner.events("poll-relayed")[0]["time"]
    assert 0 < figures["AnswerMs"] < (started - polled) * 1000
    assert figures["PostMs"] > (ended - started) * 1000
    assert figures["PostMs"] >= figures["HeldMs"] > (lets_go - is_held) * 1000
    assert figures["WaitMs"] == 0
    assert 0 < figures["BudgetLeftMs"] <= 30_000 - figures["PostMs"] + 0.01  # as they are rounded
    assert counts_of(figures) == {}


@pytest.mark.parametrize(
    ("commands", "shell", "timeout", "counted"),
    [
        ("exit 3", "", "", {"Failed": 1}),
        ("kill -9 $$", "", "", {"Failed": 1}),
        ("sleep 60", "", "100ms", {"CutOff": 1}),
        ("exit 0", "/no/such/shell", "", {"Failed": 1}),
        ("exit 0", "", "", {}),
    ],
)
def test_what_went_wrong_is_counted(
    prepare: Prepare, commands: str, shell: str, timeout: str, counted: dict[str, int]
) -> None:
    stage = prepare(METRICS="emf", SHELL=shell, TIMEOUT=timeout)
    stage.run_after(commands)
    request_id = invoke(stage, stage.runner.connect())
    assert counts_of(metrics_of(stage.runner, request_id)) == counted


def test_waits_are_timed_and_those_that_expired_are_counted(prepare: Prepare) -> None:
    stage = prepare(MODE="WaitUntil", TIMEOUT="200ms", METRICS="emf")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    for _ in range(2):
        assert handler.exchange("POST", "/post-runner/v1/invocation/current/wait").status == 201
    handler.answer(request_id)
    figures = metrics_of(stage.runner, request_id)
    assert counts_of(figures) == {"WaitsExpired": 2}
    assert figures["WaitMs"] > 150
    assert figures["BudgetLeftMs"] == 0


def test_an_invocation_without_post_work_has_a_line_as_well(prepare: Prepare) -> None:
    stage = prepare(MODE="AfterError", METRICS="emf")
    request_id = invoke(stage, stage.runner.connect(), seconds=None)
    figures = metrics_of(stage.runner, request_id)
    assert figures.keys() >= {"AnswerMs", "PostMs", "HeldMs", "WaitMs"}
    assert "BudgetLeftMs" not in figures
    assert figures["HeldMs"] == 0


def test_namespace_and_alias_are_those_that_were_set_and_invoked(prepare: Prepare) -> None:
    stage = prepare(environment=TEXT, METRICS_NAMESPACE="Shop/Orders", METRICS="emf")
    headers = [("Lambda-Runtime-Invoked-Function-Arn", f"{ARN}:live")]
    request_id = invoke(stage, stage.runner.connect(), headers=headers)
    line = stage.runner.stderr.await_line(lambda line: is_metrics(line) and request_id in line)
    assert json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Shop/Orders"
    assert {"FunctionName": "orders", "Alias": "live"} in dimension_sets(line)


@pytest.mark.parametrize(("lambdas", "level"), [("", "INFO"), ("DEBUG", "INFO"), ("ERROR", "ERROR")])
def test_a_line_passes_the_functions_own_filter_of_levels(prepare: Prepare, lambdas: str, level: str) -> None:
    environment = {**JSON, "AWS_LAMBDA_LOG_LEVEL": lambdas}
    stage = prepare(environment=environment, METRICS="emf")
    line = json.loads(stage.runner.stderr.await_line(is_metrics))
    assert line["level"] == level
    # Without one, Lambda would take the line for INFO.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])


def test_without_the_setting_there_is_no_line(prepare: Prepare) -> None:
    stage = prepare(environment=JSON)
    handler = stage.runner.connect()
    invoke(stage, handler)
    stage.next_invocation(handler)
    assert not [line for line in stage.runner.stderr.lines if is_metrics(line)]
