"""On Managed Instances, whatever does not say which invocation it belongs to reaches the one that asks."""

import sys
from pathlib import Path

import pytest

from aws_lambda_post_runner.dev.emulator.environment import NODE_HELPERS
from tests.conftest import Start
from tests.fake_runtime_api import FakeRuntimeApi
from tests.interop.conftest import node_environment
from tests.interop.obtain import NEWEST_NODE, node_client_in, node_in

from .conftest import EXAMPLES, real_parts

AT_ONCE = 16


def command_of(client: str) -> list[str]:
    if client == "python":
        return [sys.executable, "-m", "awslambdaric", "at_once.handler"]
    return [str(node_in(real_parts(), NEWEST_NODE)), str(node_client_in(real_parts()))]


@pytest.mark.parametrize("client", ["node", "python"])
def test_sixteen_at_once_each_have_their_own_work_and_their_own_wait(
    runtime_api: FakeRuntimeApi, start: Start, tmp_path: Path, client: str
) -> None:
    meeting, inputs = tmp_path / "meeting", tmp_path / "inputs"
    meeting.mkdir()
    inputs.mkdir()
    environment = {
        **node_environment(EXAMPLES, "at_once.handler"),
        "AWS_LAMBDA_MAX_CONCURRENCY": str(AT_ONCE),
        "AWS_LAMBDA_NODEJS_WORKER_COUNT": "2",
        "MEETING": str(meeting),
        "NODE_PATH": str(NODE_HELPERS),
        "PYTHONPATH": str(EXAMPLES),
    }
    runner = start(
        command_of(client),
        environment=environment,
        MODE="OnRequest",
        AMBIENT="vercel",
        COMMAND=f'cat > {inputs}/"$AWS_LAMBDA_POST_RUNNER_REQUEST_ID"',
    )
    ids = [runtime_api.invoke() for _ in range(AT_ONCE)]
    for request_id in ids:
        runner.await_event("post-command-ended", request_id)
        assert (inputs / request_id).read_text() == f"{request_id}\n"
        assert runner.await_event("waits-ended", request_id)["expired"] == 0
