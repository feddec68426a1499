"""AMBIENT: a `waitUntil` of ours where frameworks in Node look for one, and nothing at all without it."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from aws_lambda_post_runner import ambient

from .conftest import Prepare, Start
from .running import Running

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node")
SYMBOLS = ["@next/request-context", "@vercel/request-context"]
TELL_OPTIONS = ["sh", "-c", 'echo "[${NODE_OPTIONS-unset}]"']


def line_of(runner: Running) -> str:
    """The first line that the handler prints."""
    assert runner.stdout is not None
    return runner.stdout.await_line(lambda _: True)


def test_without_it_the_handlers_environment_is_untouched(start: Start) -> None:
    assert line_of(start(TELL_OPTIONS, MODE="WaitUntil")) == "[unset]"


def test_without_it_nothing_of_it_is_loaded(start: Start) -> None:
    runner = [sys.executable, "-X", "importtime", "-m", "aws_lambda_post_runner"]
    running = start(["true"], runner=runner, MODE="WaitUntil")
    assert running.wait() == 0
    assert "aws_lambda_post_runner.supervisor" in running.stderr.text
    assert "aws_lambda_post_runner.ambient" not in running.stderr.text


def test_options_that_node_has_already_are_kept(start: Start) -> None:
    environment = {"NODE_OPTIONS": "--no-warnings"}
    told = line_of(start(TELL_OPTIONS, environment=environment, MODE="WaitUntil", AMBIENT="next"))
    assert told.startswith("[--no-warnings --require ")


def test_the_command_has_the_options_that_the_function_has(prepare: Prepare, tmp_path: Path) -> None:
    stage = prepare(AMBIENT="next")
    stage.run_after(f'echo "${{NODE_OPTIONS-unset}}" > {tmp_path}/options')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "options").read_text() == "unset\n"


def test_where_the_file_is_not_there_node_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ambient, "__file__", "/nowhere/ambient.py")
    assert ambient.preload_file({"LAMBDA_TASK_ROOT": "/nowhere"}) is None


@needs_node
@pytest.mark.parametrize("folder", ["plain", 'with space, " and \\'])
def test_the_file_is_found_with_the_function_whatever_its_folder_is_called(
    monkeypatch: pytest.MonkeyPatch, start: Start, tmp_path: Path, folder: str
) -> None:
    beside_us = Path(ambient.__file__).parent / "layer" / "nodejs" / "post-runner"
    modules = tmp_path / folder / "node_modules"
    modules.mkdir(parents=True)
    shutil.copytree(beside_us, modules / "post-runner")
    monkeypatch.setattr(ambient, "__file__", "/nowhere/ambient.py")
    path = ambient.preload_file({"LAMBDA_TASK_ROOT": str(tmp_path / folder)})
    assert path == str(modules / "post-runner" / "ambient.js")
    environment = ambient.with_preload({"AWS_LAMBDA_POST_RUNNER_AMBIENT": "next"}, path)
    runner = start(published_by(), environment=environment, MODE="WaitUntil")
    assert json.loads(line_of(runner)) == [True, False]


def published_by() -> list[str]:
    """A handler that tells which of the contexts it finds."""
    script = f"console.log(JSON.stringify({SYMBOLS}.map((name) => Symbol.for(name) in globalThis)))"
    return ["node", "-e", script]


@needs_node
@pytest.mark.parametrize(
    ("named", "found"),
    [("next", [True, False]), ("Vercel", [False, True]), ("next, vercel", [True, True])],
)
def test_each_framework_that_is_named_finds_its_context(start: Start, named: str, found: list[bool]) -> None:
    runner = start(published_by(), MODE="WaitUntil", AMBIENT=named)
    assert json.loads(line_of(runner)) == found


def test_an_unknown_framework_is_refused(start: Start) -> None:
    runner = start(MODE="WaitUntil", AMBIENT="nxt")
    assert runner.wait() != 0
    assert "AMBIENT is 'nxt' (did you mean next?); valid: next, vercel" in runner.stderr.text


@needs_node
def test_a_context_that_somebody_else_published_stays(start: Start, tmp_path: Path) -> None:
    before = tmp_path / "before.js"
    before.write_text(f"globalThis[Symbol.for('{SYMBOLS[0]}')] = 'theirs';")
    script = f"console.log(globalThis[Symbol.for('{SYMBOLS[0]}')])"
    environment = {"NODE_OPTIONS": f"--require {before}"}
    runner = start(["node", "-e", script], environment=environment, MODE="WaitUntil", AMBIENT="next")
    assert line_of(runner) == "theirs"
