"""What the adapters of web applications promise, without a framework: the answer first, then the rest."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import pytest

from post_runner import asgi, wsgi

from .fake_runtime_api import PATIENCE
from .running import wait_until

Message = MutableMapping[str, Any]


@pytest.fixture(autouse=True)
def without_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_RUNTIME_API", raising=False)


def call(app: Callable[..., Awaitable[None]]) -> list[Message]:
    """What an application sends that is asked once, under `AfterAnswer`."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"asked"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(asgi.AfterAnswer(app)({"type": "http", "method": "GET", "path": "/"}, receive, send))
    return sent


START = {"type": "http.response.start", "status": 200, "headers": []}


def test_an_asgi_application_has_returned_when_its_response_is_complete_and_goes_on() -> None:
    may_go_on, has_ended = threading.Event(), threading.Event()

    async def app(_: Message, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send(START)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})
        await asyncio.to_thread(may_go_on.wait, PATIENCE)
        has_ended.set()

    assert [message.get("body") for message in call(app)] == [None, b"asked", b"!"]
    assert not has_ended.is_set()
    may_go_on.set()
    assert has_ended.wait(PATIENCE)


def test_an_asgi_application_that_fails_before_its_response_fails_its_caller() -> None:
    async def app(_: Message, __: Any, send: Any) -> None:
        await send(START)
        raise LookupError("before the answer")

    with pytest.raises(LookupError, match="before the answer"):
        call(app)


def test_an_asgi_application_that_fails_after_its_response_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(_: Message, __: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b""})
        raise LookupError("after the answer")

    with caplog.at_level(logging.ERROR, "post_runner"):
        assert len(call(app)) == 2
        wait_until(lambda: "after the answer" in caplog.text, "the line on the failure")


class Closing:
    """A WSGI response that says in which thread it was closed."""

    def __init__(self) -> None:
        self.closed_in: list[threading.Thread] = []
        self.is_closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a", b"b"])

    def close(self) -> None:
        self.closed_in.append(threading.current_thread())
        self.is_closed.set()


def test_a_wsgi_response_is_closed_in_a_thread_of_its_own() -> None:
    closing = Closing()
    response = wsgi.AfterAnswer(lambda _, __: closing)({}, None)
    assert list(response) == [b"a", b"b"]
    response.close()  # type: ignore[attr-defined]
    assert closing.is_closed.wait(PATIENCE)
    assert closing.closed_in != [threading.current_thread()]


def test_a_wsgi_response_that_is_not_closed_stays_what_it_is() -> None:
    plain = [b"a"]
    assert wsgi.AfterAnswer(lambda _, __: plain)({}, None) is plain
