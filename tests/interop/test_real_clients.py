"""With the runtime clients that Lambda's own runtimes have."""

import json
from pathlib import Path

import pytest

from tests.fake_runtime_api import NEXT, FakeRuntimeApi, answer_path
from tests.running import Gate, Running

from .conftest import StartHandler
from .obtain import NODES

THROWN = 30
"""Often enough to see an order that is a matter of chance."""


def next_poll_after(runtime_api: FakeRuntimeApi, runner: Running) -> float:
    """When the second poll came to the Runtime API, once it has; with what the runner has said if it does not."""
    try:
        return runtime_api.await_request(NEXT, nth=2).received
    except TimeoutError:
        pytest.fail(runner.stderr.text)


@pytest.mark.parametrize(
    ("language", "handler", "body"),
    [
        ("python", "answers_first.handler", b'"answered"'),
        ("node", "answers_first.handler", b'"answered"'),
        ("node", "streams.handler", b"answered in pieces"),
    ],
)
def test_a_handler_answers_and_then_finishes_two_seconds_of_work(
    request: pytest.FixtureRequest, runtime_api: FakeRuntimeApi, language: str, handler: str, body: bytes
) -> None:
    start_handler: StartHandler = request.getfixturevalue(f"start_{language}")
    runner = start_handler(handler, MODE="WaitUntil", COMMAND="")
    request_id = runtime_api.invoke()
    answer = runtime_api.await_whole_request(answer_path(request_id))
    assert answer.body == body
    assert runner.stdout is not None
    finished = float(runner.stdout.await_line(lambda line: "finished at" in line).split()[-1])
    polled = next_poll_after(runtime_api, runner)
    assert finished - answer.received >= 1.9
    assert polled >= finished
    assert runner.await_event("waits-ended", request_id)["expired"] == 0
    print(
        f"{language}, {handler}: the work ended {finished - answer.received:.3f} s after the answer, ", end=""
    )
    print(f"the next poll came {(polled - finished) * 1000:.1f} ms after that")


@pytest.mark.parametrize("version", NODES)
def test_no_poll_of_a_streaming_handler_that_throws_overtakes_its_command(
    runtime_api: FakeRuntimeApi, start_node: StartHandler, gate: Gate, version: str
) -> None:
    """aws-lambda-ric polls then without waiting until its answer is acknowledged."""
    runner = start_node("breaks.handler", version=version, COMMAND=gate.wait)
    for number in range(1, THROWN + 1):
        request_id = runtime_api.invoke()
        answer = runtime_api.await_whole_request(answer_path(request_id))
        assert b"Lambda-Runtime-Function-Error-Type" in answer.trailers
        runner.await_event("post-command-started", request_id)
        assert len(runtime_api.to(NEXT)) == number
        gate.release()
        ended = runner.await_event("post-command-ended", request_id)["time"]
        assert runtime_api.await_request(NEXT, nth=number + 1).received >= ended


def test_pythons_threads_run_on_during_the_command(
    runtime_api: FakeRuntimeApi, start_python: StartHandler
) -> None:
    runner = start_python("ticker.handler", COMMAND="sleep 2")
    first, second = runtime_api.invoke(), runtime_api.invoke()
    ended = runner.await_event("post-command-ended", first)["time"]
    started = runner.await_event("post-command-started", first)["time"]
    ticks = json.loads(runtime_api.await_whole_request(answer_path(second)).body)
    during = [tick for tick in ticks if started <= tick <= ended]
    assert len(during) >= 15
    print(f"{len(during)} ticks of 100 ms in the {ended - started:.3f} s of the command")


def test_the_error_that_a_python_handler_raises_is_known_by_name(
    runtime_api: FakeRuntimeApi, start_python: StartHandler
) -> None:
    runner = start_python("broken.handler", COMMAND='echo "$AWS_LAMBDA_POST_RUNNER_ERROR_TYPE"')
    runtime_api.invoke()
    assert runner.stdout is not None
    runner.stdout.await_line(lambda line: line == "LookupError")


def test_of_two_invocations_in_flight_each_hands_over_its_own(
    runtime_api: FakeRuntimeApi, start_python: StartHandler, tmp_path: Path
) -> None:
    """On Managed Instances, where awslambdaric has a process for each."""
    meeting, inputs = tmp_path / "meeting", tmp_path / "inputs"
    meeting.mkdir()
    inputs.mkdir()
    runner = start_python(
        "meets.handler",
        {"AWS_LAMBDA_MAX_CONCURRENCY": "2", "MEETING": str(meeting)},
        MODE="OnRequest",
        COMMAND=f'cat > {inputs}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"',
    )
    ids = [runtime_api.invoke(b'{"number": %d}' % number) for number in range(2)]
    for number, request_id in enumerate(ids):
        answer = runtime_api.await_whole_request(answer_path(request_id))
        assert json.loads(answer.body) == {"taken": True, "met": True}
        runner.await_event("post-command-ended", request_id)
        assert (inputs / request_id).read_bytes() == b'{"number": %d}\n' % number
