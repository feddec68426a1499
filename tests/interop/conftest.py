"""The real parts: where they are, and how a runner is started with a real client behind it."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import aws_lambda_post_runner
from tests.conftest import Start
from tests.running import PREFIX, Running

from .obtain import EMULATOR

HANDLERS = Path(__file__).parent / "handlers"
PYTHON_CLIENT = [sys.executable, "-m", "awslambdaric"]
NODE_HELPERS = Path(aws_lambda_post_runner.__file__).parent / "layer" / "nodejs"

StartHandler = Callable[..., Running]
"""Starts a runner with a handler of tests/interop/handlers behind it; takes settings as `start` does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests in this folder need the real parts."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("interop")


def prefixed(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings as environment variables."""
    return {PREFIX + name: value for name, value in settings.items()}


@pytest.fixture(scope="session")
def parts() -> Path:
    """The folder that obtain.py has filled."""
    folder = os.environ.get("INTEROP_PARTS")
    if not folder:
        pytest.fail("INTEROP_PARTS names no folder; `nox -s interop` fills one and says where it is")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def emulator(parts: Path) -> Path:
    """The runtime interface emulator."""
    return parts / EMULATOR


@pytest.fixture
def start_python(start: Start) -> StartHandler:
    """Start a handler such as `ticker.handler` under awslambdaric."""

    def start_handler(name: str, environment: Mapping[str, str] | None = None, **settings: str) -> Running:
        variables = {"PYTHONPATH": str(HANDLERS), **(environment or {}), **prefixed(settings)}
        return start([*PYTHON_CLIENT, name], environment=variables)

    return start_handler


@pytest.fixture
def start_node(start: Start, parts: Path) -> StartHandler:
    """Start a handler such as `answers_first.handler` under aws-lambda-ric."""
    client = parts / "node_modules" / "aws-lambda-ric" / "bin" / "index.mjs"

    def start_handler(name: str, **settings: str) -> Running:
        # This client looks for handlers where it is started.
        command = ["sh", "-c", 'cd "$0" && exec node "$@"', str(HANDLERS), str(client), name]
        return start(command, environment={"NODE_PATH": str(NODE_HELPERS), **prefixed(settings)})

    return start_handler
