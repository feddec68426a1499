"""A wrong setting stops us before the handler starts, and the reason shows where people look."""

import json

import pytest

from .conftest import Start
from .fake_runtime_api import INIT_ERROR, Exchange, FakeRuntimeApi, Script, hang_up
from .running import PREFIX, Running

WRONG = [
    ("COMMAND", " ", "valid: any command of the shell; only mode WaitUntil alone needs none"),
    (
        "MODE",
        "AfterRespons",
        "(did you mean AfterResponse?); valid: AfterResponse, AfterError, OnRequest, WaitUntil",
    ),
    ("LOG_LEVEL", "debugg", "(did you mean DEBUG?); valid: trace, debug, info, warn, error, fatal"),
    ("TIMEOUT", "30", "(the unit is missing); valid: a duration such as 500ms, 30s or 2m"),
    ("MARGIN", "soon", "valid: a duration such as 500ms, 30s or 2m"),
    ("GRACE", "-1s", "valid: a duration such as 500ms, 30s or 2m"),
    ("CAPTURE", "events", "(did you mean event?); valid: event, response, or both"),
    ("CAPTURE_LIMIT", "6MB", "valid: a size such as 512KiB or 6MiB"),
]


def lines_of(runner: Running) -> list[str]:
    """What a runner said that stopped because of its settings, and before its handler was started."""
    assert runner.wait() == 1
    assert runner.events("handler-started") == []
    return runner.said().splitlines()


@pytest.mark.parametrize(("name", "value", "explained"), WRONG, ids=[name for name, *_ in WRONG])
def test_a_wrong_setting_is_one_line_and_an_init_error(
    start: Start, runtime_api: FakeRuntimeApi, name: str, value: str, explained: str
) -> None:
    runner = start(environment={PREFIX + "COMMAND": ":", PREFIX + name: value})
    [line] = lines_of(runner)
    assert line.startswith("[ERROR]\t")
    assert f"aws-lambda-post-runner: {PREFIX}{name} is " in line
    assert explained in line
    assert line.endswith("; the handler is not started")
    [post] = runtime_api.requests
    assert (post.method, post.target) == ("POST", INIT_ERROR)
    assert post.get("Content-Type") == "application/vnd.aws.lambda.error+json"
    assert post.get("Lambda-Runtime-Function-Error-Type") == "Runtime.PostRunnerInvalidConfiguration"
    document = json.loads(post.body)
    assert document["errorType"] == "Runtime.PostRunnerInvalidConfiguration"
    assert document["errorMessage"] in line
    assert explained in document["errorMessage"]


def test_all_wrong_settings_are_told_at_once_each_in_its_line(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    lines = lines_of(start(MODE="never", TIMEOUT="30"))
    assert len(lines) == 3
    [post] = runtime_api.requests
    message = json.loads(post.body)["errorMessage"]
    for name, line in zip(["MODE", "COMMAND", "TIMEOUT"], lines, strict=True):
        assert PREFIX + name in line
        assert PREFIX + name in message


def test_the_line_is_json_where_lambda_logs_json(start: Start) -> None:
    [line] = lines_of(start(environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"}))
    record = json.loads(line)
    assert record["level"] == "ERROR"
    assert f"{PREFIX}COMMAND is not set" in record["message"]


def swallow(exchange: Exchange) -> None:
    exchange.read_body()
    exchange.wait_until_peer_is_gone()


@pytest.mark.parametrize("fault", [hang_up, swallow], ids=["hangs up", "never answers"])
def test_we_end_though_the_runtime_api_does_not_take_the_reason(
    start: Start, runtime_api: FakeRuntimeApi, fault: Script
) -> None:
    runtime_api.plan(INIT_ERROR, fault)
    assert len(lines_of(start())) == 1


def test_we_end_though_there_is_no_runtime_api(start: Start, runtime_api: FakeRuntimeApi) -> None:
    runtime_api.close()
    assert len(lines_of(start())) == 1


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "exämple:1"])
def test_an_address_that_is_none_is_told_though_nobody_can_be_posted_to(start: Start, address: str) -> None:
    [line] = lines_of(start(COMMAND=":", runtime_api_at=address))
    assert f"AWS_LAMBDA_RUNTIME_API is {address!r}; valid: host:port" in line


@pytest.mark.parametrize("number", ["77", "9" * 15])
def test_an_observer_that_is_not_there_is_told_and_done_without(
    start: Start, runtime_api: FakeRuntimeApi, number: str
) -> None:
    """The descriptor comes from `dev`; a variable that was left over must not keep the function from starting."""
    runner = start(environment={PREFIX + "OBSERVER_FD": number}, COMMAND=":")
    handler = runner.connect()
    request_id = runtime_api.invoke()
    assert handler.poll() == request_id
    assert handler.answer(request_id).status == 202
    runner.end_handler(5)
    assert runner.wait() == 5
    [line] = runner.said().splitlines()
    assert f"{PREFIX}OBSERVER_FD is {number}, and no such descriptor is open; nobody is told" in line
