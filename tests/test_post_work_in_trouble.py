"""A sink that fails or hangs: what is skipped, tried again and spilled, and that nothing is lost twice or never."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import FakeRuntimeApi
from .running import PREFIX, Gate, HandlerConnection, Record, Stage

JSON = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}


def invoke(stage: Stage, handler: HandlerConnection, work: bytes = b"", **event: Any) -> str:
    """Let the handler answer one invocation, after it has handed over `work`; return the request id."""
    request_id = stage.next_invocation(handler, **event)
    if work:
        assert handler.exchange("POST", "/post-runner/v1/invocation/current/work", work).status == 202
    assert handler.answer(request_id).status == 202
    return request_id


def ended(stage: Stage, request_id: str) -> Record:
    """How the post command of this invocation ended, when it has."""
    return stage.runner.await_event("post-command-ended", request_id)


def lines_of(stage: Stage, event: str) -> list[Record]:
    """What has been said of this kind, in JSON."""
    records: list[Record] = [json.loads(line) for line in stage.runner.stderr.lines if line.startswith("{")]
    return [each for each in records if each.get("event") == event]


# The breaker


def test_after_so_many_failures_commands_are_skipped_and_that_is_said_once(prepare: Prepare) -> None:
    stage = prepare(BREAKER="3/60s", environment=JSON)
    ran = stage.folder / "ran"
    stage.run_after(f"echo >> {ran}; exit 3")
    handler = stage.runner.connect()
    endings = [ended(stage, invoke(stage, handler)) for _ in range(8)]
    assert [each["exitStatus"] for each in endings] == [3, 3, 3, None, None, None, None, None]
    assert {each["problem"] for each in endings[3:]} == {"it is skipped, because it failed so often before"}
    assert len(ran.read_text().splitlines()) == 3
    [opened] = lines_of(stage, "breaker-opened")
    assert (opened["level"], opened["failures"], opened["pauseMs"]) == ("WARN", 3, 60_000)
    assert len(lines_of(stage, "post-command-ended")) == 3


def test_after_the_pause_one_is_tried_and_when_it_succeeds_all_run_again(prepare: Prepare) -> None:
    stage = prepare(BREAKER="1/0ms", environment=JSON)
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    for _ in range(2):
        assert ended(stage, invoke(stage, handler))["exitStatus"] == 3
    stage.run_after("exit 0")
    for _ in range(2):
        assert ended(stage, invoke(stage, handler))["exitStatus"] == 0
    assert len(lines_of(stage, "breaker-opened")) == 1
    [closed] = lines_of(stage, "breaker-closed")
    assert closed["skipped"] == 0


def test_a_sink_that_hangs_holds_an_environment_for_a_bounded_time(prepare: Prepare) -> None:
    """Of 200 invocations three are held until their timeout; without the breaker it would be all of them."""
    stage = prepare(BREAKER="3/60s", TIMEOUT="100ms", METRICS="emf")
    stage.run_after("exec sleep 60")
    handler = stage.runner.connect()
    endings = [ended(stage, invoke(stage, handler)) for _ in range(200)]
    assert [each["cutOffBy"] for each in endings] == ["timeout"] * 3 + [None] * 197
    stage.next_invocation(handler)
    lines = [json.loads(line) for line in stage.runner.stderr.lines if '"PostMs"' in line]
    assert (sum(each["CutOff"] for each in lines), sum(each["Skipped"] for each in lines)) == (3, 197)
    held = sum(each["PostMs"] for each in lines if each["Skipped"])
    assert held < 197 * 100  # and not what as many timeouts take


def test_a_command_that_was_told_to_end_says_nothing_of_the_sink(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(BREAKER="1/60s")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = invoke(stage, handler)
    stage.runner.await_event("post-command-started", request_id)
    stage.runner.signal(signal.SIGHUP)
    assert ended(stage, request_id)["cutOffBy"] == "shutdown"
    assert stage.runner.events("breaker-opened") == []


def test_an_invocation_that_leaves_no_time_says_nothing_of_the_sink(prepare: Prepare) -> None:
    stage = prepare(BREAKER="1/60s")
    handler = stage.runner.connect()
    assert ended(stage, invoke(stage, handler, seconds=0.4))["cutOffBy"] == "deadline"
    assert ended(stage, invoke(stage, handler))["exitStatus"] == 0


# Retries


def fail_first(folder: Path, times: int) -> str:
    """Commands that fail so many times and then succeed, each time with all of their input."""
    return f'cat >> {folder}/inputs; echo >> {folder}/tries; [ "$(wc -l < {folder}/tries)" -gt {times} ]'


@pytest.mark.parametrize(
    ("retries", "failures", "status", "retried"),
    [("3", 2, 0, 2), ("2", 2, 0, 2), ("1", 2, 1, 1), ("", 1, 1, 0), ("3", 0, 0, 0)],
)
def test_a_command_that_fails_is_run_again_with_the_same_input(
    prepare: Prepare, retries: str, failures: int, status: int, retried: int
) -> None:
    stage = prepare(RETRIES=retries, METRICS="emf")
    stage.run_after(fail_first(stage.folder, failures))
    request_id = invoke(stage, stage.runner.connect(), b"work")
    end = ended(stage, request_id)
    assert (end["exitStatus"], end["retries"]) == (status, retried)
    assert (stage.folder / "inputs").read_text() == "work\n" * (retried + 1)
    assert len(stage.runner.events("post-command-retried", request_id)) == retried
    line = stage.runner.stderr.await_line(lambda line: '"Retried"' in line)
    assert json.loads(line)["Retried"] == retried


def test_retries_end_with_the_budget(prepare: Prepare) -> None:
    stage = prepare(RETRIES="1000", TIMEOUT="1s")
    stage.run_after("exit 3")
    end = ended(stage, invoke(stage, stage.runner.connect()))
    assert end["exitStatus"] == 3
    assert 1 <= end["retries"] < 10


def test_the_poll_is_held_until_the_last_try_has_ended(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(RETRIES="1")
    stage.run_after(f"{gate.wait}; exit 3")
    handler = stage.runner.connect()
    request_id = invoke(stage, handler)
    handler.send_poll()
    gate.release()
    stage.runner.await_event("post-command-started", request_id, nth=2)
    assert len(stage.runner.events("poll-relayed")) == 1
    gate.release()
    stage.runtime_api.invoke()
    assert handler.read_event()
    assert ended(stage, request_id)["retries"] == 1


def test_a_signal_ends_the_pause_between_two_tries(prepare: Prepare) -> None:
    stage = prepare(RETRIES="1000000")
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    request_id = invoke(stage, handler)
    stage.runner.await_event("post-command-retried", request_id)
    stage.runner.signal(signal.SIGHUP)
    assert ended(stage, request_id)


# The fallback


def spill(folder: Path) -> str:
    """A fallback command that keeps all that it got in a file of its own for each run."""
    mine = f'"$(mktemp {folder}/spill-XXXXXX)"'
    event = f'{{ cat; echo "event: $(cat "${PREFIX}EVENT_FILE")"; }}'
    return f'{{ echo "${PREFIX}FALLBACK_REASON ${PREFIX}REQUEST_ID"; {event}; }} > {mine}'


def spilled(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("spill-*"))


@pytest.mark.parametrize(
    ("commands", "retries", "timeout", "reason"),
    [
        ("exit 3", "", "", "failed"),
        ("kill -9 $$", "", "", "failed"),
        ("cat > /dev/null; exit 3", "", "", "failed"),
        ("exit 3", "1", "", "failed"),
        (f'rm "${PREFIX}EVENT_FILE"; exit 3', "", "", "failed"),
        (f'echo spoilt > "${PREFIX}EVENT_FILE"; exit 3', "", "", "failed"),
        ("no-such-command", "", "", "failed"),
        ("exec sleep 60", "", "4s", "cut-off"),
        ("exec sleep 60", "5", "4s", "cut-off"),
        ("trap 'exit 0' TERM; sleep 60 & wait", "", "4s", "cut-off"),
        ("trap '' TERM; sleep 60; sleep 60", "", "4s", "cut-off"),
    ],
)
def test_each_lost_piece_of_work_is_spilled_exactly_once_with_all_that_belongs_to_it(
    prepare: Prepare, tmp_path: Path, *, commands: str, retries: str, timeout: str, reason: str
) -> None:
    stage = prepare(
        RETRIES=retries,
        TIMEOUT=timeout,
        GRACE="100ms",
        CAPTURE="event",
        FALLBACK_COMMAND=spill(tmp_path),
        FALLBACK_RESERVE="2s",
        LOG_LEVEL="info",
        environment=JSON,
    )
    stage.run_after(commands)
    handler = stage.runner.connect()
    request_id = invoke(stage, handler, b"work", body=b'{"a":1}')
    end = stage.runner.await_event("fallback-command-ended", request_id)
    assert (end["reason"], end["exitStatus"]) == (reason, 0)
    stage.next_invocation(handler)
    assert spilled(tmp_path) == [f'{reason} {request_id}\nwork\nevent: {{"a":1}}\n']
    [line] = lines_of(stage, "fallback-command-ended")
    assert line["level"] == "INFO"


def test_what_the_breaker_skips_is_spilled_as_well(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(BREAKER="1/60s", CAPTURE="event", FALLBACK_COMMAND=spill(tmp_path), METRICS="emf")
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    ids = [invoke(stage, handler, b"work") for _ in range(3)]
    stage.runner.await_event("fallback-command-ended", ids[-1])
    reasons = ["failed", "skipped", "skipped"]
    expected = [f"{reason} {request_id}" for reason, request_id in zip(reasons, ids, strict=True)]
    assert sorted(text.splitlines()[0] for text in spilled(tmp_path)) == sorted(expected)
    stage.next_invocation(handler)
    lines = [json.loads(line) for line in stage.runner.stderr.lines if '"Spilled"' in line]
    assert [each["Spilled"] for each in lines] == [1, 1, 1]


def test_what_a_signal_cuts_off_is_spilled_before_we_end(
    prepare: Prepare, tmp_path: Path, gate: Gate
) -> None:
    stage = prepare(CAPTURE="event", FALLBACK_COMMAND=spill(tmp_path), FALLBACK_RESERVE="5s")
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    request_id = invoke(stage, handler, b"work")
    stage.runner.await_event("post-command-started", request_id)
    stage.runner.signal(signal.SIGTERM)
    stage.runner.wait()
    assert spilled(tmp_path) == [f"cut-off {request_id}\nwork\nevent: {{}}\n"]


RUNNABLE_AND_FAULTY = """
import sys
from aws_lambda_post_runner import entry
from aws_lambda_post_runner.post import command

whole = command.command_environment

def broken_but_for_the_fallback(environment, settled, remaining, files, reason):
    if not reason:
        raise RuntimeError("nobody foresaw this")
    return whole(environment, settled, remaining, files, reason)

command.command_environment = broken_but_for_the_fallback
sys.exit(entry.main())
"""


def test_what_fails_as_nobody_foresaw_is_spilled_as_well(
    start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    runner = start(
        runner=[sys.executable, "-c", RUNNABLE_AND_FAULTY],
        COMMAND="true",
        CAPTURE="event",
        BREAKER="1/60s",
        FALLBACK_COMMAND=spill(tmp_path),
    )
    handler = runner.connect()
    for _ in range(2):
        request_id = runtime_api.invoke()
        assert handler.poll() == request_id
        handler.answer(request_id)
        assert runner.await_event("fallback-command-ended", request_id)["reason"] == "failed"
    assert len(spilled(tmp_path)) == 2


def test_work_that_was_done_is_not_spilled(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(CAPTURE="event", RETRIES="2", FALLBACK_COMMAND=spill(tmp_path))
    stage.run_after(fail_first(tmp_path, 1))
    handler = stage.runner.connect()
    assert ended(stage, invoke(stage, handler, b"work"))["retries"] == 1
    stage.next_invocation(handler)
    assert spilled(tmp_path) == []


@pytest.mark.parametrize(
    ("fallback", "status"), [("exit 4", 4), ("no-such-command", 127), ("exec sleep 60", None)]
)
def test_a_fallback_that_fails_is_an_error_and_the_function_goes_on(
    prepare: Prepare, fallback: str, status: int | None
) -> None:
    stage = prepare(FALLBACK_COMMAND=fallback, TIMEOUT="1s", FALLBACK_RESERVE="500ms", environment=JSON)
    stage.run_after("exit 3")
    handler = stage.runner.connect()
    request_id = invoke(stage, handler)
    end = stage.runner.await_event("fallback-command-ended", request_id)
    assert end["exitStatus"] == status
    stage.next_invocation(handler)
    [line] = lines_of(stage, "fallback-command-ended")
    assert line["level"] == "ERROR"
    assert "the work is lost (the post command: failed)" in line["message"]


def test_the_command_has_what_the_reserve_leaves_of_the_budget(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(TIMEOUT="20s", FALLBACK_COMMAND="true", FALLBACK_RESERVE="5s")
    stage.run_after(f'echo "${PREFIX}REMAINING_MS" > {tmp_path}/remaining')
    ended(stage, invoke(stage, stage.runner.connect()))
    # The time that it would take to stop it is not the fallback command's, either.
    assert 10_000 < int((tmp_path / "remaining").read_text()) <= 14_800
