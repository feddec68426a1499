"""BackgroundTasks of Starlette and FastAPI after the answer, under Mangum; and whatever else an ASGI application does.

    handler = Mangum(AfterAnswer(app), lifespan="off")  # before: Mangum(app, lifespan="off")

Mangum answers when the application has returned, and that is after its background tasks. `AfterAnswer` returns as soon
as the response is complete. The application has an event loop in a thread of its own, and goes on there while Lambda
may not freeze us. Without the runner its tasks begin all the same, and are frozen with everything else.

Keep `lifespan="off"`: Mangum ends an application's lifespan with every event, and so before the tasks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, TypeVar

from ._runner import end_wait, log_failure, open_wait

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

T = TypeVar("T")


class AfterAnswer:
    """An ASGI application that has returned when `app` has sent its response, or has failed before.

    What fails after the response is logged with its traceback.
    """

    def __init__(self, app: Application) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="post_runner.asgi", daemon=True).start()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Run `app` in its own loop. What it asks of the server is done in the server's loop."""
        exchange = _Exchange(asyncio.get_running_loop(), receive, send)
        token = open_wait("current", f"{scope.get('method', '')} {scope.get('path', '')}".strip())
        running = asyncio.run_coroutine_threadsafe(exchange.run(self.app, scope), self._loop)
        running.add_done_callback(partial(_end_wait_after, token))
        ended = asyncio.wrap_future(running)
        await asyncio.wait([ended, exchange.answered], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()


class _Exchange:
    """One request and its response, between the server's loop and the application's."""

    def __init__(self, server: asyncio.AbstractEventLoop, receive: Receive, send: Send) -> None:
        self._server = server
        self._receive = receive
        self._send = send
        self._complete = False
        self.answered: asyncio.Future[None] = server.create_future()
        """Belongs to the server's loop."""

    async def run(self, app: Application, scope: MutableMapping[str, Any]) -> None:
        """Run `app`; raise what fails before its response is complete, and log what fails afterwards."""
        try:
            await app(scope, self._receive_there, self._send_there)
        except Exception as error:
            if not self._complete:
                raise
            log_failure(error)

    async def _receive_there(self) -> Message:
        return await _in_loop(self._server, self._receive())

    async def _send_there(self, message: Message) -> None:
        await _in_loop(self._server, self._send(message))
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._complete = True
            self._server.call_soon_threadsafe(self.answered.set_result, None)


async def _in_loop(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    """Await in another loop, which runs in another thread."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_there(awaitable), loop))


async def _there(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _end_wait_after(token: str, _: object) -> None:
    end_wait(token)
