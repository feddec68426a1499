"""Which invocation the handler means, where it does not say so by a request id; and what it may call a wait."""

import json

import pytest
import trio

from aws_lambda_post_runner.invocation import Budget, Invocation, Invocations, Settled
from aws_lambda_post_runner.post.attempts import Course
from aws_lambda_post_runner.post.cutting import Cutting
from aws_lambda_post_runner.post.handler_api import NAME_LIMIT, HandlerApi
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import PREFIX, Level, read

CONCURRENT = read(
    {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_LAMBDA_MAX_CONCURRENCY": "3",
        PREFIX + "COMMAND": "true",
        PREFIX + "MODE": "OnRequest",
    }
)
PORTS = {"first": 1001, "second": 1002, "unknown": None}


async def no_command(settled: Settled, _budget: Budget, _cutting: Cutting) -> Course:
    raise AssertionError(settled)


async def ask(invocations: Invocations, path: str, body: bytes) -> tuple[int, bytes]:
    async with trio.open_nursery() as nursery:
        post_work = PostWork(nursery, invocations, no_command, CONCURRENT, Report(Level.ERROR))
        return HandlerApi(invocations, post_work).answer(b"POST", path.encode(), body)


@pytest.fixture
def invocations() -> Invocations:
    """Three in flight, and of two it is known on which of the handler's ports their events came."""
    invocations = Invocations(3)
    for request_id, port in PORTS.items():
        added = invocations.add({b"lambda-runtime-aws-request-id": request_id.encode()})
        added.given_to = port
    return invocations


def found(invocations: Invocations, request_id: str) -> Invocation:
    invocation = invocations.find(request_id)
    assert invocation is not None
    return invocation


@pytest.mark.parametrize(
    ("name", "meant"),
    [("on:1002", "second"), ("on:7,1001", "first"), ("second", "second"), ("on:1001,9", "first")],
)
def test_work_goes_to_the_invocation_that_is_named_by_its_port(
    invocations: Invocations, name: str, meant: str
) -> None:
    status, _ = trio.run(ask, invocations, f"/post-runner/v1/invocation/{name}/work", b"work")
    assert status == 202
    assert {each: found(invocations, each).work for each in PORTS} == {
        each: [b"work\n"] if each == meant else [] for each in PORTS
    }


@pytest.mark.parametrize(
    ("name", "number"), [("on:7", 0), ("on:", 0), ("on:None", 0), ("on:1001,1002", 2), ("current", 3)]
)
def test_where_not_one_invocation_is_meant_the_answer_says_how_many(
    invocations: Invocations, name: str, number: int
) -> None:
    status, document = trio.run(ask, invocations, f"/post-runner/v1/invocation/{name}/work", b"work")
    assert status == 409
    assert json.loads(document)["errorMessage"] == f"{number} invocations are in flight, not one"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"name": "flush"}', "flush"),
        (b'{"name": "' + b"x" * 200 + b'"}', "x" * NAME_LIMIT),
        (b"", ""),
        (b"not JSON", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'["flush"]', ""),
        (b'{"name": 7}', ""),
        (b'{"name": "two\\nlines"}', ""),
    ],
    ids=["name", "long", "none", "text", "bytes", "deep", "list", "number", "two lines"],
)
def test_a_wait_whose_name_would_not_do_has_none_and_is_waited_for(
    invocations: Invocations, body: bytes, name: str
) -> None:
    status, _ = trio.run(ask, invocations, "/post-runner/v1/invocation/first/wait", body)
    assert status == 201
    [wait] = found(invocations, "first").waits.values()
    assert wait.name == name
