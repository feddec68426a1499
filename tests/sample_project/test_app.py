"""A user's tests, with the fixture `run_lambda`. Our own tests run them in a process of their own."""

import sys
from pathlib import Path

import pytest

from aws_lambda_post_runner.dev.testing import RunningFunction
from aws_lambda_post_runner.pytest_plugin import RunLambda

HERE = Path(__file__).parent
RECORD = HERE / "record.sh"


@pytest.fixture
def function(run_lambda: RunLambda, tmp_path: Path) -> RunningFunction:
    """The function, whose post command writes into tmp_path/record."""
    return run_lambda(
        *(sys.executable, "-m", "awslambdaric", "app.handler"),
        command=str(RECORD),
        environ={"RECORD": str(tmp_path / "record"), "PYTHONPATH": str(HERE)},
    )


def test_the_answer_comes_at_once_and_the_record_after_it(function: RunningFunction, tmp_path: Path) -> None:
    answer = function.invoke({"name": "Ada"})
    assert answer.json() == {"greeting": "Hello Ada"}
    assert answer.seconds < 0.2
    work = answer.post_work()
    assert work is not None
    assert work.request_id == answer.request_id
    assert work.exit_status == 0
    assert work.seconds_after_answer >= 0.2
    assert (tmp_path / "record").read_text() == f"{answer.request_id} response\n"


def test_a_failure_is_recorded_too(function: RunningFunction, tmp_path: Path) -> None:
    answer = function.invoke({"fail": True})
    assert answer.function_error
    assert answer.json()["errorType"] == "ValueError"
    assert answer.post_work() is not None
    assert (tmp_path / "record").read_text() == f"{answer.request_id} error\n"
