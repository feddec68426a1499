"""A function as somebody may have it, frozen as on Lambda, with the runner and without it."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.moments import Moment
from aws_lambda_post_runner.dev.testing import RunningFunction
from aws_lambda_post_runner.settings import PREFIX
from tests.interop.obtain import NEWEST_NODE, node_client_in, node_in

from .obtain import BUILT, function_in, packages_in

EXAMPLES = Path(__file__).parent / "examples"
PYTHON_CLIENT = (sys.executable, "-m", "awslambdaric")
PATIENCE = 20.0
AMBIENT = {"with_vercel": {f"{PREFIX}AMBIENT": "vercel"}}
"""What some examples need in their environment; the others need nothing there."""


def real_parts() -> Path:
    """The folder that both obtain.py have filled."""
    folder = os.environ.get("INTEROP_PARTS")
    if not folder:
        pytest.fail("INTEROP_PARTS names no folder; `nox -s integrations` fills one and says where it is")
    return Path(folder).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests in this folder need other people's packages, and no session has them but one."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("interop")
            item.add_marker("integrations")


@dataclass(frozen=True)
class Stage:
    """Starts examples, and has the gate at which their slow work waits."""

    gate: Path
    start: Callable[[Options], RunningFunction]

    def open_gate(self) -> None:
        """Let slow work go on."""
        self.gate.touch()

    def close_gate(self) -> None:
        """Make the next work wait."""
        self.gate.unlink()

    def run(
        self,
        *command: str,
        environ: Mapping[str, str] | None = None,
        runner: bool = True,
        folder: Path = EXAMPLES,
        concurrency: int | None = None,
    ) -> RunningFunction:
        """Run a handler in mode WaitUntil; without the runner it is frozen as soon as it polls."""
        variables = {
            **os.environ,
            "OPEN_GATE": str(self.gate),
            f"{PREFIX}MODE": "WaitUntil",
            **(environ or {}),
        }
        options = Options(
            command,
            timeout_s=PATIENCE,
            runner=runner,
            environ=variables,
            folder=folder,
            concurrency=concurrency,
        )
        return self.start(options)

    def run_python(
        self,
        name: str,
        *,
        environ: Mapping[str, str] | None = None,
        runner: bool = True,
        concurrency: int | None = None,
    ) -> RunningFunction:
        """Run an example such as `with_flask.handler` under awslambdaric."""
        variables = {"PYTHONPATH": str(EXAMPLES), **(environ or {})}
        return self.run(*PYTHON_CLIENT, name, environ=variables, runner=runner, concurrency=concurrency)

    def run_node(
        self,
        name: str,
        *,
        folder: Path = EXAMPLES,
        environ: Mapping[str, str] | None = None,
        runner: bool = True,
        concurrency: int | None = None,
    ) -> RunningFunction:
        """Run an example such as `with_hono.handler` under aws-lambda-ric."""
        parts = real_parts()
        variables = {"NODE_PATH": str(packages_in(parts)), "_HANDLER": name, **(environ or {})}
        command = (str(node_in(parts, NEWEST_NODE)), str(node_client_in(parts)))
        return self.run(*command, environ=variables, runner=runner, folder=folder, concurrency=concurrency)

    def run_example(self, name: str, *, runner: bool = True) -> RunningFunction:
        """Run an example of either language, or an application that had to be built, with what its row adds."""
        environ = AMBIENT.get(name, {})
        if (EXAMPLES / f"{name}.py").exists():
            return self.run_python(f"{name}.handler", environ=environ, runner=runner)
        for app in BUILT:
            if app.name == name:
                folder = function_in(real_parts(), app)
                return self.run_node("index.handler", folder=folder, environ=environ, runner=runner)
        return self.run_node(f"{name}.handler", environ=environ, runner=runner)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Functions that end with the test."""
    with ExitStack() as functions:
        yield Stage(tmp_path / "open", lambda options: functions.enter_context(RunningFunction(options)))


def await_moment(function: RunningFunction, what: str, matches: Callable[[int, Moment], bool]) -> int:
    """Wait until something has happened; return its place among all that has happened. Raises TimeoutError."""
    with function._changed:
        if not function._changed.wait_for(lambda: list(places(function, matches)), PATIENCE):
            raise TimeoutError(f"no {what} within {PATIENCE} s; so far: {function.output}")
        return next(places(function, matches))


def places(function: RunningFunction, matches: Callable[[int, Moment], bool]) -> Iterator[int]:
    """Where among all that has happened this has."""
    return (place for place, moment in enumerate(function.moments) if matches(place, moment))


def await_line(function: RunningFunction, part: str, after: int = 0) -> int:
    """Wait until the function, or a library in it, has written a line with this in it, from place `after` on."""
    return await_moment(function, f"line with {part!r}", partial(_is_line_with, part, after))


def _is_line_with(part: str, after: int, place: int, moment: Moment) -> bool:
    return place >= after and part in moment.details.get("line", "")


def await_freeze(function: RunningFunction) -> int:
    """Wait until the function has been frozen after its last answer."""
    answered = max(places(function, _is_answer))
    return await_moment(function, "freeze", partial(_is_freeze_after, answered))


def _is_answer(_: int, moment: Moment) -> bool:
    return moment.what == "settled"


def _is_freeze_after(answered: int, place: int, moment: Moment) -> bool:
    return place > answered and moment.what == "frozen"


def http_event(method: str, path: str) -> dict[str, Any]:
    """What a function URL hands on."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "example.org"},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
