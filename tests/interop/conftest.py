"""The real parts: where they are, and how a runner is started with a real client behind it."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import aws_lambda_post_runner
from tests.conftest import Start
from tests.running import PREFIX, Running

from .obtain import EMULATOR, NEWEST_NODE, node_client_in, node_in

HANDLERS = Path(__file__).parent / "handlers"
PYTHON_CLIENT = [sys.executable, "-m", "awslambdaric"]
NODE_HELPERS = Path(aws_lambda_post_runner.__file__).parent / "layer" / "nodejs"

FUNCTION = {
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}
"""What Lambda tells every function about itself."""

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


def node_environment(folder: Path, handler: str) -> dict[str, str]:
    """What aws-lambda-ric 4 does not start without; it takes no arguments. `handler` is such as `streams.handler`."""
    return {**FUNCTION, "LAMBDA_TASK_ROOT": str(folder), "_HANDLER": handler}


@pytest.fixture
def start_node(start: Start, parts: Path) -> StartHandler:
    """Start a handler such as `answers_first.handler` under aws-lambda-ric, on the Node that `version` names."""

    def start_handler(name: str, *, version: str = NEWEST_NODE, **settings: str) -> Running:
        command = [str(node_in(parts, version)), str(node_client_in(parts))]
        variables = {"NODE_PATH": str(NODE_HELPERS), **node_environment(HANDLERS, name)}
        return start(command, environment={**variables, **prefixed(settings)})

    return start_handler
