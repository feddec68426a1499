"""A FastAPI application under Mangum, whose BackgroundTasks run after the answer.

Mangum answers when the application has returned, and that is after its background tasks. `AfterAnswer` lets it
answer as soon as the response is complete: the application has an event loop in a thread of its own, and goes
on there while the runner holds the freeze.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import BackgroundTasks, FastAPI
from mangum import Mangum
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import post_runner

T = TypeVar("T")
logger = logging.getLogger(__name__)


class AfterAnswer:
    """An ASGI application that has returned when `app` has sent its response, or has failed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run `app` in its own loop; what it asks of the server is done in the server's."""
        server = asyncio.get_running_loop()
        answered: asyncio.Future[None] = server.create_future()

        async def receive_there() -> Message:
            return await in_loop(server, receive())

        async def send_there(message: Message) -> None:
            await in_loop(server, send(message))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                server.call_soon_threadsafe(answered.set_result, None)

        async def run() -> None:
            try:
                await self.app(scope, receive_there, send_there)
            except Exception:
                if not answered.done():
                    raise
                logger.exception("what came after the answer has failed")

        running = asyncio.run_coroutine_threadsafe(run(), self.loop)
        post_runner.wait_until(running)
        ended = asyncio.wrap_future(running)
        await asyncio.wait([ended, answered], return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()


async def in_loop(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    """Await in another loop, which runs in another thread."""

    async def there() -> T:
        return await awaitable

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))


app = FastAPI()


def send_welcome(user: str) -> None:
    """Stand in for something slow."""
    time.sleep(2)
    print(f"welcomed {user} at", time.time(), flush=True)


@app.post("/users/{user}")
def sign_up(user: str, tasks: BackgroundTasks) -> dict[str, str]:
    """Answer at once, and welcome the user after that."""
    tasks.add_task(send_welcome, user)
    return {"user": user}


handler = Mangum(AfterAnswer(app), lifespan="off")  # before: Mangum(app, lifespan="off")
