"""The handler has the environment and the signals that it would have if we were not there."""

import signal
import subprocess
import sys

import pytest

from .conftest import ADDRESS, Start
from .fake_runtime_api import PATIENCE
from .running import PREFIX, RUNNER, Running, plain_environment

SHOW = r"tr '\0' '\n' < /proc/$$/environ; grep -e SigIgn -e SigBlk /proc/self/status; echo shown"
HANDLER = ["sh", "-c", SHOW]

OURS = (f"{ADDRESS}=", "TEST_MARK=", PREFIX)
COMMAND, DISABLED = f"{PREFIX}COMMAND", f"{PREFIX}DISABLED"
FORMS = pytest.mark.parametrize(
    "form",
    [{COMMAND: ":", ADDRESS: "127.0.0.1:1"}, {DISABLED: "for a test", ADDRESS: "127.0.0.1:1"}, {}],
    ids=["through us", "disabled", "outside Lambda"],
)


def ignoring(*names: str) -> list[str]:
    """What starts a program that ignores these signals."""
    return ["sh", "-c", f"trap '' {' '.join(names)}; exec \"$@\"", "sh"]


def without_us(start: list[str], environment: dict[str, str]) -> list[str]:
    shown = subprocess.run(
        [*start, *HANDLER],
        env={**without_locale(), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return sorted(shown.stdout.splitlines())


def with_us(runner: Running) -> list[str]:
    runner.await_output("shown")
    runner.wait()
    assert runner.stdout is not None
    return sorted(line for line in runner.stdout.lines if not line.startswith(OURS))


def without_locale() -> dict[str, str]:
    return {name: value for name, value in plain_environment().items() if name != "LANG"}


@FORMS
@pytest.mark.parametrize(
    "locale",
    [{}, {"LC_CTYPE": "C.UTF-8"}, {"LC_CTYPE": "POSIX"}, {"LC_ALL": "C"}, {"LANG": "C"}],
    ids=["none", "given", "POSIX", "all C", "C"],
)
def test_whatever_the_locale_nothing_is_added_to_the_handlers_environment_and_nothing_is_missing(
    start: Start, monkeypatch: pytest.MonkeyPatch, form: dict[str, str], locale: dict[str, str]
) -> None:
    monkeypatch.delenv("LANG", raising=False)
    assert with_us(start(HANDLER, runtime_api_at=None, environment={**form, **locale})) == without_us(
        [], locale
    )


@FORMS
def test_signals_that_were_ignored_stay_ignored_and_no_others_are(start: Start, form: dict[str, str]) -> None:
    ignored = ignoring("HUP", "INT", "TERM", "USR1", "CHLD", "WINCH")
    runner = start(HANDLER, runner=[*ignored, *RUNNER], runtime_api_at=None, environment=form)
    assert with_us(runner) == without_us(ignored, plain_environment())


def test_a_handler_hears_of_a_signal_that_was_ignored_if_it_wants_to(start: Start) -> None:
    handler = [sys.executable, "-S", "-c", HEARING]
    runner = start(handler, runner=[*ignoring("USR1"), *RUNNER], COMMAND=":")
    runner.await_output("listening")
    runner.signal(signal.SIGUSR1)
    runner.await_output("heard")
    assert runner.wait() == 0


HEARING = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGUSR1, lambda *_: None)
print("listening", flush=True)
signal.sigwait({signal.SIGUSR1})
print("heard", flush=True)
"""


def test_an_ignored_sigchld_changes_no_exit_status(start: Start) -> None:
    runner = start(runner=[*ignoring("CHLD"), *RUNNER], COMMAND="exit 7")
    runner.connect().answer("any")
    assert runner.await_event("post-command-ended")["exitStatus"] == 7
    runner.end_handler(42)
    assert runner.wait() == 42


@pytest.mark.parametrize("variable", ["PYTHONFAULTHANDLER", "PYTHONDEVMODE"])
def test_what_the_handlers_python_is_told_of_faults_changes_no_exit_status(
    start: Start, variable: str
) -> None:
    runner = start(
        ["sh", "-c", f'test "${variable}" = 1 && exit 5'], environment={variable: "1"}, COMMAND=":"
    )
    assert runner.wait() == 5
    assert "Traceback" not in runner.said()


@FORMS
def test_a_variable_without_a_name_keeps_no_handler_from_starting(start: Start, form: dict[str, str]) -> None:
    running = start(["sh", "-c", "echo started"], runtime_api_at=None, environment={"": "nameless", **form})
    running.await_output("started")
    assert running.wait() == 0


def test_a_handler_without_a_name_is_told_in_one_line(start: Start) -> None:
    running = start([""], runtime_api_at=None)
    assert running.wait() == 127
    [line] = running.said().splitlines()
    assert "the handler cannot be started: " in line
