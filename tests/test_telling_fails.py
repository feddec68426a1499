"""Whatever goes wrong while post work is told of, or run before the timeout, is logged, and the function goes on."""

import sys
import time

import pytest

from aws_lambda_post_runner.origin import seconds_since_start

from .conftest import Start
from .fake_runtime_api import FakeRuntimeApi

TRACED = [
    (
        "Lambda-Runtime-Trace-Id",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    )
]


def broken(room: str, name: str) -> list[str]:
    """A runner in which this function fails."""
    code = f"""
import sys
from aws_lambda_post_runner import entry
from aws_lambda_post_runner.post import {room}

def fail(*_, **__):
    raise RuntimeError("nobody foresaw this")

{room}.{name} = fail
sys.exit(entry.main())
"""
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("room", "name", "mode"),
    [
        ("metrics", "invocation_line", "AfterResponse"),
        ("metrics", "invocation_line", "AfterError"),
        ("spans", "span_of", "AfterResponse"),
    ],
)
def test_what_cannot_be_told_is_logged_with_its_traceback_and_the_next_poll_goes_on(
    start: Start, runtime_api: FakeRuntimeApi, room: str, name: str, mode: str
) -> None:
    runner = start(runner=broken(room, name), COMMAND="true", MODE=mode, METRICS="emf", SPANS="otlp")
    handler = runner.connect()
    for _ in range(2):
        request_id = runtime_api.invoke(headers=TRACED)
        assert handler.poll() == request_id
        assert handler.answer(request_id).status == 202
    runtime_api.invoke()
    assert handler.poll()
    runner.end_handler(5)
    assert runner.wait() == 5
    assert runner.said().count("RuntimeError: nobody foresaw this") >= 2


def test_a_command_before_the_timeout_that_fails_as_nobody_foresaw_changes_nothing_else(
    start: Start, runtime_api: FakeRuntimeApi
) -> None:
    runner = start(
        runner=broken("command", "command_environment"), COMMAND="true", MODE="BeforeTimeout", MARGIN="60s"
    )
    handler = runner.connect()
    request_id = runtime_api.invoke(seconds=60.0)
    assert handler.poll() == request_id
    assert "nobody foresaw" in runner.await_event("post-command-ended", request_id)["problem"]
    assert handler.answer(request_id).status == 202
    runtime_api.invoke()
    assert handler.poll()


def test_where_the_start_cannot_be_told_the_processors_time_stands_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    before = time.process_time()
    assert before <= seconds_since_start() <= time.process_time()


def test_the_start_is_not_told_to_be_earlier_than_it_was() -> None:
    assert time.process_time() <= seconds_since_start()
