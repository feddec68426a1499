"""The fixture that pytest finds in every project where this package is installed, and what a failure shows of it.

It imports nothing until a test asks for it.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from .dev.testing import RunningFunction

LINES_SHOWN = 200
"""Of what a function wrote, its last lines; a failing test's own words shall not be lost among them."""


class RunLambda(Protocol):
    """Starts functions under the post runner; the type of the fixture `run_lambda`."""

    def __call__(
        self,
        *handler: str,
        command: str | None = None,
        mode: str | None = None,
        concurrency: int | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> "RunningFunction":
        """Start a handler: the words of its command, or as Lambda has it, `app.handler`.

        `command` and `mode` are the settings COMMAND and MODE; without both there is only what the handler asks to
        wait for. `concurrency` takes so many invocations at once, unfrozen, as Managed Instances do. `environ` stands
        on top of the test's own environment. `timeout` is the function's, in seconds.
        """


started: pytest.StashKey[list["RunningFunction"]] = pytest.StashKey()
"""The functions that a test has started, in that order."""


@pytest.fixture
def run_lambda(request: pytest.FixtureRequest) -> Iterator[RunLambda]:
    """Start functions under the post runner: `run_lambda(*HANDLER, command=…, mode=…, concurrency=…, environ=…)`.

    `invoke(event)` on the result gives the answer, with its `seconds`; `post_work()` and `waits()` on the answer wait
    for the post command, and for what the handler asked to wait for, and give their outcomes and times. Between
    invocations the handler is frozen, as on Lambda. No process is left when the test ends. When it fails, it shows
    what the function wrote and its timeline. `RunLambda` is its type.
    """
    functions = request.node.stash.setdefault(started, [])
    with ExitStack() as running:
        yield _Starter(functions, running)


class _Starter:
    """Notes each function that it starts, and has it end with the test."""

    def __init__(self, functions: list["RunningFunction"], running: ExitStack) -> None:
        self._functions = functions
        self._running = running

    def __call__(
        self,
        *handler: str,
        command: str | None = None,
        mode: str | None = None,
        concurrency: int | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> "RunningFunction":
        from .dev.testing import RunningFunction, Wishes, function_options  # noqa: PLC0415 - most suites that load this plugin have no use for it

        wishes = Wishes(command, mode, concurrency, environ or {}, timeout)
        function = RunningFunction(function_options(handler, wishes))
        self._functions.append(function)
        return self._running.enter_context(function)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what its functions wrote, and their timelines."""
    report = yield
    if report.failed:
        width = item.config.get_terminal_writer().fullwidth
        functions: list[RunningFunction] = item.stash.get(started, [])
        for number, function in enumerate(functions, start=1):
            report.sections += _sections(function, number, width)
    return report


def _sections(function: "RunningFunction", number: int, width: int) -> list[tuple[str, str]]:
    lines = function.output
    left_out = len(lines) - LINES_SHOWN
    head = [f"… {left_out} lines before"] if left_out > 0 else []
    # awslambdaric writes a carriage return where a log record has a line break.
    output = "\n".join([*head, *lines[-LINES_SHOWN:]]).replace("\r", "\n")
    found = [("wrote", output), ("timeline", function.timeline(width))]
    return [(f"function {number} {what}", text) for what, text in found if text]
