"""Another wrapper starts the handler, also where we have nothing to do; only we ourselves cannot be that wrapper."""

import json
import os
import sys
from pathlib import Path

import pytest

from .conftest import Start
from .running import PREFIX

RUNNABLE = "#!{python}\nimport sys\nfrom aws_lambda_post_runner.entry import main\nsys.exit(main())\n"
THROUGH_ENTRY = "#!{runner} --exec-wrapper\n"
HANDLER = ["sh", "-c", "echo handled; exit 9"]
WITHOUT_US = pytest.mark.parametrize(
    "form", [{PREFIX + "DISABLED": "for a test"}, {}], ids=["disabled", "outside Lambda"]
)


@pytest.fixture
def wrapper(tmp_path: Path) -> str:
    return script(tmp_path / "wrapper", '#!/bin/sh\necho "wrapped: $*"\nexec "$@"\n')


@pytest.fixture
def runner(tmp_path: Path) -> str:
    """Our own program, as a console script."""
    return script(tmp_path / "aws-lambda-post-runner", RUNNABLE.format(python=sys.executable))


def script(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@WITHOUT_US
def test_without_us_the_handler_is_started_through_the_other_wrapper_all_the_same(
    start: Start, wrapper: str, form: dict[str, str]
) -> None:
    running = start(HANDLER, runtime_api_at=None, environment=form, NEXT_WRAPPER=wrapper)
    running.await_output("wrapped: sh -c ")
    running.await_output("handled")
    assert running.wait() == 9


def ourselves(runner: str, folder: Path) -> dict[str, str]:
    link = folder / "link"
    link.symlink_to(runner)
    entry = script(folder / "entry.sh", THROUGH_ENTRY.format(runner=runner))
    link_to_entry = folder / "other.sh"
    link_to_entry.symlink_to(entry)
    return {"itself": runner, "link": str(link), "entry": entry, "link to entry": str(link_to_entry)}


NAMES = pytest.mark.parametrize("name", ["itself", "link", "entry", "link to entry"])


@NAMES
def test_a_wrapper_that_is_the_runner_itself_is_refused_in_one_line(
    start: Start, runner: str, tmp_path: Path, name: str
) -> None:
    wrapper = ourselves(runner, tmp_path)[name]
    running = start(HANDLER, runner=[runner], COMMAND=":", NEXT_WRAPPER=wrapper)
    assert running.wait() == 1
    [line] = running.said().splitlines()
    assert f"{PREFIX}NEXT_WRAPPER is {wrapper!r} (that is this runner itself); valid: a path" in line
    assert line.endswith("; the handler is not started")


@NAMES
@WITHOUT_US
def test_without_us_such_a_wrapper_is_left_out_and_the_handler_is_started(
    start: Start, runner: str, tmp_path: Path, name: str, form: dict[str, str]
) -> None:
    wrapper = ourselves(runner, tmp_path)[name]
    running = start(HANDLER, runner=[runner], runtime_api_at=None, environment=form, NEXT_WRAPPER=wrapper)
    assert running.wait() == 9
    assert "(that is this runner itself); the handler is started without it" in running.said()


def test_a_runner_that_is_found_on_the_path_is_known_too(start: Start, runner: str, tmp_path: Path) -> None:
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    name = Path(runner).name
    running = start(HANDLER, runner=[runner], environment=path, COMMAND=":", NEXT_WRAPPER=name)
    assert running.wait() == 1


@pytest.mark.parametrize("name", ["no-such-program", "/", "/etc/passwd"])
def test_a_wrapper_that_cannot_be_started_is_still_the_handlers_trouble(start: Start, name: str) -> None:
    running = start(HANDLER, COMMAND=":", NEXT_WRAPPER=name)
    assert running.wait() in (126, 127)
    assert f"the handler cannot be started: {name}: " in running.said()


def test_disabled_wins_over_every_wrong_setting_and_a_reason_that_is_no_text(start: Start) -> None:
    wrong = {
        PREFIX + name: "wrong" for name in ("MODE", "TIMEOUT", "MARGIN", "GRACE", "CAPTURE", "LOG_LEVEL")
    }
    reason = os.fsdecode(b"caf\xe9")
    running = start(HANDLER, runtime_api_at="nowhere", environment=wrong, DISABLED=reason)
    assert running.wait() == 9
    [line] = running.said().splitlines()
    assert rf"disabled by {PREFIX}DISABLED (caf\udce9)" in line


@pytest.mark.parametrize("settings", [{"DISABLED": "for a test"}, {"COMMAND": ":"}], ids=["disabled", "not"])
def test_our_first_lines_are_json_where_lambda_logs_json(start: Start, settings: dict[str, str]) -> None:
    running = start(
        ["no-such-handler"],
        runtime_api_at="127.0.0.1:1",
        environment={
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            **{PREFIX + name: value for name, value in settings.items()},
        },
    )
    assert running.wait() == 127
    records = [json.loads(line) for line in running.said().splitlines()]
    assert [record["level"] for record in records] == ["WARN", "ERROR"][-len(records) :]
    assert (
        records[-1]["message"] == "the handler cannot be started: no-such-handler: No such file or directory"
    )
