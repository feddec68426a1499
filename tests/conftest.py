"""What tests are given: a Runtime API, runners that are ended after the test, gates for post commands."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

import pytest

from .fake_runtime_api import FakeRuntimeApi, fake_runtime_api
from .running import PREFIX, RUNNER, WAITING_HANDLER, Gate, Running, Stage, script_in
from .time_limits import (
    pytest_runtest_protocol,
    pytest_runtest_teardown,
    pytest_sessionfinish,
    pytest_sessionstart,
)

__all__ = [  # hooks: pytest finds them here by their names
    "pytest_runtest_protocol",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "pytest_sessionstart",
]


@pytest.fixture
def runtime_api() -> Iterator[FakeRuntimeApi]:
    """A Runtime API of this test's own."""
    with fake_runtime_api() as api:
        yield api


ADDRESS = "AWS_LAMBDA_RUNTIME_API"
OF_THIS_TEST = "of this test"


class Start(Protocol):
    """Starts a runner. Settings are named without their prefix; `environment` has other variables.

    `runtime_api_at` is another address than that of the test's own Runtime API; None: no address at all.
    `descriptors` are inherited.
    """

    def __call__(
        self,
        handler: Sequence[str] = WAITING_HANDLER,
        *,
        runner: Sequence[str] = RUNNER,
        runtime_api_at: str | None = OF_THIS_TEST,
        environment: Mapping[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        descriptors: Sequence[int] = (),
        **settings: str,
    ) -> Running: ...


@pytest.fixture
def start(runtime_api: FakeRuntimeApi) -> Iterator[Start]:
    """Start runners against this test's Runtime API."""
    with ExitStack() as ending:

        def start_runner(
            handler: Sequence[str] = WAITING_HANDLER,
            *,
            runner: Sequence[str] = RUNNER,
            runtime_api_at: str | None = OF_THIS_TEST,
            environment: Mapping[str, str] | None = None,
            stdout: int = subprocess.PIPE,
            descriptors: Sequence[int] = (),
            **settings: str,
        ) -> Running:
            variables = dict(environment or {})
            if runtime_api_at is not None:
                variables[ADDRESS] = runtime_api.address if runtime_api_at == OF_THIS_TEST else runtime_api_at
            variables.update((PREFIX + name, value) for name, value in settings.items())
            running = Running([*runner, *handler], variables, stdout, descriptors)
            return ending.enter_context(closing(running))

        yield start_runner


class Prepare(Protocol):
    """Sets the stage; takes what `Start` takes but the command, which is the one that `run_after` decides."""

    def __call__(
        self,
        *,
        environment: Mapping[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        **settings: str,
    ) -> Stage: ...


@pytest.fixture
def prepare(start: Start, runtime_api: FakeRuntimeApi, tmp_path: Path) -> Prepare:
    """Start a runner whose post command can be changed while it runs; at first it does nothing."""

    def prepare_stage(
        *,
        environment: Mapping[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        **settings: str,
    ) -> Stage:
        script_in(tmp_path).touch()
        given = {PREFIX + name: value for name, value in settings.items()} | dict(environment or {})
        runner = start(
            environment={PREFIX + "COMMAND": f". {script_in(tmp_path)}", **given},
            stdout=stdout,
        )
        return Stage(runtime_api, runner, tmp_path)

    return prepare_stage


@pytest.fixture
def stage(prepare: Prepare) -> Stage:
    """A runner with default settings."""
    return prepare()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where post commands wait until the test lets them go on."""
    with closing(Gate(tmp_path / "gate")) as gate:
        yield gate
