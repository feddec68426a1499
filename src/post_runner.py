"""What a Lambda function in Python may ask of aws-lambda-post-runner: work for its command, and to be waited for.

    post_runner.work({"user": 7})            # a line for the post command's standard input
    with post_runner.hold(): ...             # Lambda does not freeze us before this block has ended
    post_runner.wait_until(send_mail(user))  # nor before this coroutine, future or thread has

Where the runner is not there, all of it does nothing: the work itself goes on, and nobody waits for it. Nothing
here raises because of the runner, and nothing waits for it longer than PATIENCE. Ask before the handler returns:
an invocation that has been answered and has nothing under way is over.

One invocation after the other, as Lambda has it, needs no more than this. On Managed Instances several are in
flight, and each call has to name its own: `request_id=context.aws_request_id`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

TYPE_CHECKING = False  # what `typing` calls so; importing that would cost every cold start
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterator
    from concurrent.futures import Future
    from threading import Thread
    from typing import Any

__all__ = ["hold", "wait_until", "work"]

PATIENCE = 0.5
"""Seconds to wait for the runner. It is on this machine, and answers within a fraction of a millisecond."""


def work(data: object, request_id: str = "current") -> bool:
    """Hand `data` to the post command of this invocation; in mode OnRequest this is what makes it run.

    Bytes and text go as they are, anything else as JSON, where what JSON does not know becomes its text. Each
    call makes a line of the command's standard input. Tells whether the runner took it.
    """
    if isinstance(data, str):
        body = data.encode()
    elif isinstance(data, bytes):
        body = data
    else:
        import json

        body = json.dumps(data, default=str).encode()
    return _ask("POST", f"invocation/{request_id}/work", body)[0] == 202


@contextmanager
def hold(request_id: str = "current") -> Iterator[None]:
    """Keep Lambda from freezing this environment until the block has ended, also after the handler's answer.

    For threads: enter it before the handler returns. The budget of the post work bounds it.
    """
    token = _open_wait(request_id)
    try:
        yield
    finally:
        _end_wait(token)


def wait_until(
    it: Coroutine[Any, Any, Any] | Future[Any] | asyncio.Future[Any] | Thread, request_id: str = "current"
) -> None:
    """Keep Lambda from freezing this environment until `it` has ended. Returns at once.

    A coroutine runs in a thread and an event loop of its own; a thread is started if it was not.
    """
    from threading import Thread

    token = _open_wait(request_id)
    if isinstance(it, Thread):
        if it.ident is None:
            it.start()
        if token:
            Thread(target=_end_after, args=[it, token], daemon=True).start()
    elif hasattr(it, "add_done_callback"):
        it.add_done_callback(lambda _: _end_wait(token))
    else:
        from contextvars import copy_context

        # The context goes along, so that a trace that was begun in the handler goes on.
        Thread(target=copy_context().run, args=[_run, it, token]).start()


def _run(coroutine: Coroutine[Any, Any, Any], token: str) -> None:
    import asyncio

    try:
        asyncio.run(coroutine)
    finally:
        _end_wait(token)


def _end_after(thread: Thread, token: str) -> None:
    thread.join()
    _end_wait(token)


def _open_wait(request_id: str) -> str:
    """A token to be ended; empty if nobody waits."""
    status, body = _ask("POST", f"invocation/{request_id}/wait")
    if status != 201:
        return ""
    import json

    token: str = json.loads(body)["token"]
    return token


def _end_wait(token: str) -> None:
    if token:
        _ask("DELETE", f"wait/{token}")


def _ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send the runner a request; return the status and the body of its answer, or 0 if there was none.

    http.client would do the same, but it takes twenty milliseconds to import.
    """
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    host, _, port = address.rpartition(":")
    if not host:
        return 0, b""
    import socket

    request_line = f"{method} /post-runner/v1/{path} HTTP/1.0"
    head = f"{request_line}\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(head.encode() + body)
            with connection.makefile("rb") as answer:
                status, length = int(answer.readline().split()[1]), 0
                while line := answer.readline().strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                return status, answer.read(length)
    except (OSError, ValueError, IndexError):  # nobody is there, or somebody who does not speak HTTP
        return 0, b""
