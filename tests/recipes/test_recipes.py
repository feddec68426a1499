"""Each recipe does what its page says, run as the page says."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import aws_lambda_post_runner
from tests.conftest import Start
from tests.fake_runtime_api import NEXT, FakeRuntimeApi, answer_path

pytestmark = pytest.mark.interop

RECIPES = Path(aws_lambda_post_runner.__file__).parent / "recipes"
CLIENT = [sys.executable, "-m", "awslambdaric"]


class Collector(ThreadingHTTPServer):
    """Takes spans, and takes its time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TakeSpans)
        self.taken: list[tuple[float, str, bytes]] = []
        """When it had what, by its path."""


class _TakeSpans(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(1)  # a slow collector is what the recipe is for
        self.server.taken.append((time.time(), self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_spans_are_sent_after_the_answer_and_before_the_freeze(
    start: Start, runtime_api: FakeRuntimeApi, collector: Collector
) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    environment = {"PYTHONPATH": str(RECIPES), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    start([*CLIENT, "flush_spans.handler"], environment=environment, MODE="WaitUntil", COMMAND="")
    request_id = runtime_api.invoke(b'{"a":1}')
    answer = runtime_api.await_whole_request(answer_path(request_id))
    assert json.loads(answer.body) == {"echo": {"a": 1}}
    polled = runtime_api.await_request(NEXT, nth=2).received
    ((exported, path, body),) = collector.taken
    assert path == "/v1/traces"
    assert b"handle" in body
    assert answer.received + 1 <= exported <= polled


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Moto's S3, and the variables with which AWS's SDKs find it."""
    from moto.server import ThreadedMotoServer  # here, so that the other sessions can do without it

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield variables
    server.stop()


def test_the_event_is_kept_in_s3(start: Start, runtime_api: FakeRuntimeApi, s3: dict[str, str]) -> None:
    import boto3  # as above

    client = boto3.client("s3")
    client.create_bucket(Bucket="archive")
    runner = start(
        environment={**s3, "ARCHIVE_BUCKET": "archive"},
        CAPTURE="event",
        COMMAND=f"{sys.executable} {RECIPES / 'archive_event.py'}",
    )
    event = json.dumps({"padding": "x" * 6_000_000}).encode()
    request_id = runtime_api.invoke(event)
    handler = runner.connect()
    assert handler.poll() == request_id
    handler.answer(request_id)
    ended = runner.await_event("post-command-ended", request_id)
    assert ended["exitStatus"] == 0, runner.stderr.text
    assert client.get_object(Bucket="archive", Key=f"events/{request_id}.json")["Body"].read() == event


HTTP_EVENT = {
    "version": "2.0",
    "rawPath": "/users/ann",
    "rawQueryString": "",
    "headers": {"host": "example.org"},
    "requestContext": {
        "http": {"method": "POST", "path": "/users/ann", "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"},
        "stage": "$default",
    },
    "isBase64Encoded": False,
}


def test_background_tasks_run_after_the_answer(start: Start, runtime_api: FakeRuntimeApi) -> None:
    runner = start(
        [*CLIENT, "background_tasks.handler"],
        environment={"PYTHONPATH": str(RECIPES)},
        MODE="WaitUntil",
        COMMAND="",
    )
    assert runner.stdout is not None
    for number in (1, 2):
        request_id = runtime_api.invoke(json.dumps(HTTP_EVENT).encode())
        answer = runtime_api.await_whole_request(answer_path(request_id))
        response = json.loads(answer.body)
        assert (response["statusCode"], json.loads(response["body"])) == (200, {"user": "ann"})
        line = runner.stdout.await_line(lambda line: line.startswith("welcomed ann at"), nth=number)
        welcomed = float(line.split()[-1])
        polled = runtime_api.await_request(NEXT, nth=number + 1).received
        assert welcomed - answer.received >= 1.9
        assert polled >= welcomed
