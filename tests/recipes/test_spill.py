"""Work that the post command lost is kept once, in a queue or a bucket, whatever happened to the command."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aws_lambda_post_runner
from tests.conftest import Start
from tests.fake_runtime_api import FakeRuntimeApi
from tests.running import Running

pytestmark = pytest.mark.interop

RECIPES = Path(aws_lambda_post_runner.__file__).parent / "recipes"
WORK = b'{"user":1}'
EVENT = b'{"a":1}'
LOST = {
    "killed": ("kill -9 $$", "0", "failed"),
    "failing": ("exit 3", "0", "failed"),
    "twice": ("exit 3", "1", "failed"),
    "late": ("exec sleep 60", "0", "cut-off"),
}
"""A command, how often it is run again, and the reason that is told."""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Moto's services, and the variables with which AWS's SDKs find them."""
    from moto.server import ThreadedMotoServer  # here, so that the other sessions can do without it

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield variables
    server.stop()


def sqs() -> Any:
    import boto3  # as above

    return boto3.client("sqs")


def s3() -> Any:
    import boto3  # as above

    return boto3.client("s3")


def lose(
    start: Start, runtime_api: FakeRuntimeApi, environment: dict[str, str], recipe: str, how: str
) -> str:
    """Let the command of one invocation fail so, and the recipe keep its work; return the request id."""
    commands, retries, _ = LOST[how]
    runner = start(
        environment=environment,
        COMMAND=commands,
        RETRIES=retries,
        # The reserve is half of it at most. The recipe imports boto3, which takes seconds on a busy machine.
        TIMEOUT="16s" if how == "late" else "120s",
        FALLBACK_RESERVE="60s",
        CAPTURE="event",
        FALLBACK_COMMAND=f"{sys.executable} {RECIPES / recipe}",
    )
    return answer_with_work(runner, runtime_api)


def answer_with_work(runner: Running, runtime_api: FakeRuntimeApi) -> str:
    handler = runner.connect()
    request_id = runtime_api.invoke(EVENT, seconds=600.0)
    assert handler.poll() == request_id
    handler.exchange("POST", "/post-runner/v1/invocation/current/work", WORK)
    handler.answer(request_id)
    handler.send_poll()
    runner.await_event("post-command-ended", request_id)
    runner.await_event("poll-relayed", nth=2)
    [ended] = runner.events("fallback-command-ended", request_id)
    assert ended["exitStatus"] == 0, runner.stderr.text
    return request_id


@pytest.mark.parametrize("how", LOST)
def test_lost_work_is_in_the_queue_once(
    start: Start, runtime_api: FakeRuntimeApi, aws: dict[str, str], how: str
) -> None:
    queue = sqs().create_queue(QueueName=f"lost-{how}")["QueueUrl"]
    request_id = lose(start, runtime_api, {**aws, "SPILL_QUEUE_URL": queue}, "spill_to_sqs.py", how)
    messages = sqs().receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"]) for message in messages] == [
        {
            "requestId": request_id,
            "reason": LOST[how][2],
            "outcome": "response",
            "work": WORK.decode() + "\n",
            "event": EVENT.decode(),
        }
    ]


@pytest.mark.parametrize("how", LOST)
def test_lost_work_is_in_the_bucket_once(
    start: Start, runtime_api: FakeRuntimeApi, aws: dict[str, str], how: str
) -> None:
    bucket = f"lost-{how}"  # moto's state is the process's
    s3().create_bucket(Bucket=bucket)
    request_id = lose(start, runtime_api, {**aws, "SPILL_BUCKET": bucket}, "spill_to_s3.py", how)
    kept = s3().list_objects_v2(Bucket=bucket)["Contents"]
    assert sorted(each["Key"] for each in kept) == [f"lost/{request_id}/event", f"lost/{request_id}/work"]
    found = s3().get_object(Bucket=bucket, Key=f"lost/{request_id}/work")
    assert found["Body"].read() == WORK + b"\n"
    assert found["Metadata"] == {"reason": LOST[how][2]}
