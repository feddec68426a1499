"""With MODE=BeforeTimeout a command runs while the handler still runs, a margin before the function is killed."""

import json
import signal
import time
from pathlib import Path

import pytest

from .conftest import Prepare
from .fake_runtime_api import reply
from .running import PREFIX, Gate, Stage, wait_until

MARGIN = "1s"
SOON = 1.5
"""Seconds that an invocation has; the command begins after half of one."""
LATER = 60.0


def ran_for(stage: Stage) -> list[tuple[str, str]]:
    """The invocations for which a command has ended, with the outcome that it was told."""
    return [(each["requestId"], each["outcome"]) for each in stage.runner.events("post-command-ended")]


def test_it_runs_a_margin_before_the_timeout_while_the_handler_still_runs(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    deadline = time.time() + SOON
    request_id = stage.next_invocation(handler, seconds=SOON)
    started = stage.runner.await_event("post-command-started", request_id)
    assert started["outcome"] == "timeout"
    assert deadline - 1 - 0.01 <= started["time"] < deadline
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert stage.runner.events("settled") == []


def test_it_knows_the_event_the_work_so_far_and_how_long_it_has(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(MODE="BeforeTimeout,OnRequest", MARGIN=MARGIN, CAPTURE="event", GRACE="100ms")
    told = "$(cat) $(cat $EVENT_FILE) $OUTCOME $REMAINING_MS".replace("EVENT", PREFIX + "EVENT")
    told = told.replace("$OUTCOME", f"${PREFIX}OUTCOME").replace("$REMAINING", f"${PREFIX}REMAINING")
    stage.run_after(f'echo "{told}" > {tmp_path}/told')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=b'{"a":1}', seconds=SOON)
    handler.exchange("POST", "/post-runner/v1/invocation/current/work", b"work")
    stage.runner.await_event("post-command-ended", request_id)
    *rest, remaining = (tmp_path / "told").read_text().split()
    assert rest == ["work", '{"a":1}', "timeout"]
    assert 0 < int(remaining) <= 900


def test_an_invocation_that_is_answered_in_time_has_none(prepare: Prepare) -> None:
    """Nor has the environment while it waits for the next event, which may be frozen then."""
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler, seconds=SOON))
    handler.answer_error(stage.next_invocation(handler, seconds=SOON))
    last = stage.next_invocation(handler, seconds=SOON)
    stage.runner.await_event("post-command-ended", last)
    assert ran_for(stage) == [(last, "timeout")]


def test_it_can_be_had_beside_what_runs_after_the_answer(prepare: Prepare) -> None:
    stage = prepare(MODE="AfterResponse,BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    first = stage.next_invocation(handler, seconds=LATER)
    handler.answer(first)
    second = stage.next_invocation(handler, seconds=SOON)
    stage.runner.await_event("post-command-ended", second)
    assert ran_for(stage) == [(first, "response"), (second, "timeout")]


def test_what_comes_after_an_answer_at_the_last_moment_still_has_the_event(
    prepare: Prepare, tmp_path: Path
) -> None:
    stage = prepare(MODE="AfterResponse,BeforeTimeout", MARGIN="9s", GRACE="0ms", CAPTURE="event")
    stage.run_after(f'cat "${PREFIX}EVENT_FILE" >> {tmp_path}/events; rm "${PREFIX}EVENT_FILE"')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=b"{}", seconds=10.0)
    stage.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "events").read_bytes() == b"{}"
    handler.answer(request_id)
    # Its own budget ends where this one's began, and that is said.
    end = stage.runner.await_event("post-command-ended", request_id, nth=2)
    assert (end["outcome"], end["cutOffBy"]) == ("response", "deadline")


def test_a_poll_is_held_until_it_has_ended(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN="20s")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=20.0)
    stage.runner.await_event("post-command-started", request_id)
    assert handler.answer(request_id).status == 202
    handler.send_poll()
    stage.runner.await_event("poll-held")
    assert len(stage.runner.events("poll-relayed")) == 1
    gate.release()
    stage.runtime_api.invoke()
    assert handler.read_event()
    assert stage.runner.events("post-command-ended", request_id)


def test_one_that_overruns_is_ended_its_grace_before_the_function_is_killed(
    prepare: Prepare, gate: Gate
) -> None:
    environment = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}
    stage = prepare(MODE="BeforeTimeout", MARGIN="30s", GRACE="28s", environment=environment)
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    deadline = time.time() + 30
    request_id = stage.next_invocation(handler, seconds=30.0)
    end = stage.runner.await_event("post-command-ended", request_id)
    assert (end["signal"], end["cutOffBy"]) == (signal.SIGTERM, "deadline")
    line = json.loads(stage.runner.stderr.await_line(lambda line: '"post-command-ended"' in line))
    assert (line["level"], line["outcome"]) == ("WARN", "timeout")
    assert end["time"] < deadline


def test_one_that_fails_is_told_and_the_handler_can_still_answer(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN="20s")
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=20.0)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 3
    assert handler.answer(request_id).status == 202
    assert stage.next_invocation(handler)


def test_an_event_that_is_handed_out_twice_has_it_once(prepare: Prepare) -> None:
    """A client that polls again without having answered gets the same event again."""
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    deadline = str(int((time.time() + SOON) * 1000))
    headers = [("Lambda-Runtime-Deadline-Ms", deadline)]
    for _ in range(2):
        stage.next_invocation(handler, request_id="same", seconds=None, headers=headers)
    stage.runner.await_event("post-command-ended", "same")
    later = stage.next_invocation(handler, seconds=SOON)
    stage.runner.await_event("post-command-ended", later)
    assert [request_id for request_id, _ in ran_for(stage)] == ["same", later]


@pytest.mark.parametrize("status", [400, 403, 413])
def test_an_invocation_whose_answer_was_refused_has_none(prepare: Prepare, status: int) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    refused = stage.next_invocation(handler, seconds=SOON)
    stage.runtime_api.plan("/response", reply(status, b"{}"))
    assert handler.answer(refused).status == status
    last = stage.next_invocation(handler, seconds=SOON)
    stage.runner.await_event("post-command-ended", last)
    assert ran_for(stage) == [(last, "timeout")]


def test_an_invocation_without_a_deadline_has_none(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout,AfterResponse", MARGIN=MARGIN)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=None)
    handler.answer(request_id)
    stage.next_invocation(handler)
    assert ran_for(stage) == [(request_id, "response")]


def test_one_that_is_under_way_when_the_handler_exits_is_seen_through(prepare: Prepare, gate: Gate) -> None:
    """And what it waits for is not taken for what nobody will end any more."""
    stage = prepare(MODE="BeforeTimeout,OnRequest", MARGIN="20s")
    stage.run_after(gate.wait)
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=20.0)
    assert helper.exchange("POST", "/post-runner/v1/invocation/current/wait").status == 201
    stage.runner.await_event("post-command-started", request_id)
    stage.runner.end_handler(7)
    handler.close()
    helper.close()
    pid = stage.runner.await_event("handler-started")["pid"]
    wait_until(lambda: pid not in stage.runner.processes(), "the handler's end")
    gate.release()
    assert stage.runner.wait() == 7
    assert ran_for(stage) == [(request_id, "timeout")]
    assert stage.runner.events("post-command-ended", request_id)[0]["exitStatus"] == 0


def test_after_sigterm_none_begins(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN)
    handler = stage.runner.connect()
    stage.next_invocation(handler, seconds=SOON)
    stage.runner.signal(signal.SIGTERM)
    stage.runner.wait()
    assert ran_for(stage) == []


def test_on_managed_instances_each_that_is_late_has_its_own(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout", MARGIN=MARGIN, environment={"AWS_LAMBDA_MAX_CONCURRENCY": "4"})
    handlers = [stage.runner.connect() for _ in range(4)]
    ids = [stage.next_invocation(handler, seconds=SOON) for handler in handlers]
    handlers[0].answer(ids[0])
    for request_id in ids[1:]:
        stage.runner.await_event("post-command-ended", request_id)
    assert sorted(ran_for(stage)) == sorted((request_id, "timeout") for request_id in ids[1:])


def test_work_is_refused_where_a_command_runs_only_then(prepare: Prepare) -> None:
    stage = prepare(MODE="BeforeTimeout")
    handler = stage.runner.connect()
    stage.next_invocation(handler)
    refused = handler.exchange("POST", "/post-runner/v1/invocation/current/work", b"work")
    assert refused.status == 409
    assert "after the answer in mode BeforeTimeout" in json.loads(refused.body)["errorMessage"]
