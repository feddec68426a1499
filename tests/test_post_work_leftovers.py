"""Of a command that is stopped nothing is left; what one leaves behind when it ends by itself is left alone."""

import signal
import sys
from pathlib import Path

import pytest

from .conftest import Prepare
from .running import Gate, Stage, wait_until

ESCAPES = {
    "a group of timeout's": "timeout 33 sleep 34; true",
    "a job of the shell's": "set -m; sleep 34 & sleep 34 & wait",
    "a deaf job of the shell's": "set -m; (trap '' TERM; sleep 34; sleep 34) & wait",
    "a session of a child's": "setsid sleep 34 & setsid -w sleep 34",
    "an orphan with a session of its own": "(setsid sleep 34 &); sleep 34",
    "one that is made when it has to stop": "trap 'setsid sleep 34 &' TERM; sleep 34 & sleep 34 & wait; true",
    "a session of a grandchild's": "(setsid sh -c 'sleep 34 & setsid sleep 34; true'; true) & sleep 34",
}


@pytest.mark.parametrize("command", ESCAPES.values(), ids=ESCAPES)
def test_of_a_command_that_is_stopped_nothing_is_left(prepare: Prepare, command: str) -> None:
    stage = prepare(TIMEOUT="1500ms", GRACE="100ms")
    handler = stage.runner.connect()
    ours = {stage.runner.process.pid, stage.runner.await_event("handler-started")["pid"]}
    stage.run_after(command)
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    wait_until(lambda: len(stage.runner.processes()) > len(ours) + 1, "the command's children")
    assert stage.runner.await_event("post-command-ended", request_id)["cutOffBy"] == "timeout"
    wait_until(lambda: set(stage.runner.processes()) == ours, "the death of what was killed")
    assert stage.next_invocation(handler)


CHAIN = """
import os, pathlib, sys
file, until = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
while not until.exists():
    if os.fork():
        os._exit(0)
    with file.open("a") as generations:
        generations.write("x")
"""


def test_a_chain_of_processes_that_live_for_a_moment_each_is_stopped_too(
    prepare: Prepare, tmp_path: Path
) -> None:
    stage = prepare(TIMEOUT="500ms", GRACE="50ms")
    (tmp_path / "chain.py").write_text(CHAIN)
    generations, until = tmp_path / "generations", tmp_path / "until"
    handler = stage.runner.connect()
    try:
        stage.run_after(
            f"trap '' TERM; {sys.executable} {tmp_path}/chain.py {generations} {until} & sleep 34"
        )
        request_id = stage.next_invocation(handler)
        handler.answer(request_id)
        assert stage.runner.await_event("post-command-ended", request_id)["cutOffBy"] == "timeout"
        last = generations.stat().st_size
        stage.run_after("sleep 0.1")
        handler.answer(stage.next_invocation(handler))
        assert stage.next_invocation(handler)
        assert last == generations.stat().st_size > 1
    finally:
        until.touch()


def test_what_a_command_leaves_in_other_groups_when_it_ends_by_itself_is_left_alone(stage: Stage) -> None:
    stage.run_after(f"set -m; sleep 34 & echo $! > {stage.folder}/pid")
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    assert stage.next_invocation(handler)
    left = int((stage.folder / "pid").read_text())
    # It may be on its way from the shell's copy to `sleep`, and have no environment to be known by.
    wait_until(lambda: left in stage.runner.processes(), "the process left")


def test_what_the_handler_has_sent_to_the_background_outlives_a_command_that_is_stopped(
    prepare: Prepare, tmp_path: Path
) -> None:
    """Here the earlier command stands for the handler: what it left is none of the later one's."""
    stage = prepare(TIMEOUT="300ms")
    handler = stage.runner.connect()
    stage.run_after(f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 34' &")
    handler.answer(stage.next_invocation(handler))
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the process left")
    stage.run_after("sleep 34")
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["signal"] == signal.SIGTERM
    assert int((tmp_path / "pid").read_text()) in stage.runner.processes()


def test_a_child_that_keeps_the_commands_input_open_does_not_hold_the_poll(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(MODE="OnRequest")
    stage.run_after(f"({gate.wait}) <&0 & exit 4")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    assert handler.exchange("POST", "/post-runner/v1/invocation/current/work", b"x" * 300_000).status == 202
    handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 4
    assert stage.next_invocation(handler)


def test_work_that_the_command_does_not_read_does_it_no_harm(prepare: Prepare) -> None:
    stage = prepare(MODE="OnRequest")
    stage.run_after("head -c 5 > " + str(stage.folder / "read"))
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.exchange("POST", "/post-runner/v1/invocation/current/work", b"12345" * 60_000)
    handler.answer(request_id)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert (stage.folder / "read").read_text() == "12345"
