"""What Lambda must not freeze before it has ended: coroutines, futures, threads and calls.

Modules are imported in functions here, because this file is part of every cold start of the function.
"""

from __future__ import annotations

from ._runner import end_wait, log_failure, open_wait

TYPE_CHECKING = False  # as in _runner
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future
    from threading import Event, Thread
    from typing import Any, ParamSpec

    P = ParamSpec("P")

LOOK_AGAIN = 0.1
"""Seconds between two looks whether a task's event loop still runs: nothing tells of a loop that was stopped."""


def wait_until(
    it: Awaitable[Any] | Future[Any] | asyncio.Future[Any] | Thread | Callable[[], object],
    request_id: str = "current",
    name: str = "",
) -> None:
    """Keep Lambda from freezing this environment until `it` has ended. Returns at once.

    A coroutine runs in a thread and an event loop of its own, a callable in a thread of its own, both with the
    context of the handler. A thread is started if it was not. A future or a task goes on where it is; a task whose
    loop no longer runs cannot, and is given up. A failure is logged with its traceback. The runner's lines call it
    by `name`, or as it is called in Python. Raises TypeError if `it` is none of these.
    """
    from threading import Thread

    name = name or name_of(it)
    if isinstance(it, Thread):
        _wait_for_thread(it, request_id, name)
    elif hasattr(it, "add_done_callback"):
        _wait_for_future(it, request_id, name)
    elif hasattr(it, "__await__") or (callable(it) and not isinstance(it, type)):
        _run_in_thread(it, request_id, name)
    else:
        raise TypeError(
            f"wait_until takes a coroutine, a future, a task, a thread or a callable, not {type(it).__name__}"
        )


def background(function: Callable[P, object]) -> Callable[P, None]:
    """Make each call of `function` return at once and run as `wait_until` runs a callable.

        @post_runner.background
        def send_mail(user): ...

    `function` may be a coroutine function; the calls are not awaited.
    """
    from functools import partial, wraps

    @wraps(function)
    def begin(*args: P.args, **kwargs: P.kwargs) -> None:
        wait_until(partial(function, *args, **kwargs))

    return begin


def name_of(it: Any) -> str:
    """What it is called in Python: a function, a partial of one, a coroutine, a task, a thread. Else empty."""
    it = getattr(it, "func", it)  # of a partial
    if hasattr(it, "get_coro"):
        it = it.get_coro()  # a task's own name is Task-7
    name = getattr(it, "__qualname__", None) or getattr(it, "name", None)
    return name if isinstance(name, str) else ""


def _wait_for_thread(thread: Thread, request_id: str, name: str) -> None:
    token = open_wait(request_id, name)
    try:
        if thread.ident is None:
            thread.start()
        if token:
            _watch(_end_after, thread, token)
    except BaseException:  # no thread can be started: the caller is told, and nobody waits
        end_wait(token)
        raise


def _end_after(thread: Thread, token: str) -> None:
    thread.join()
    end_wait(token)


def _wait_for_future(future: Any, request_id: str, name: str) -> None:
    from functools import partial

    token = open_wait(request_id, name)
    future.add_done_callback(_log_failure_of)
    if not token:
        return
    if hasattr(future, "get_loop"):
        from threading import Event

        ended = Event()
        future.add_done_callback(partial(_tell, ended))
        _watch(_end_with_task, future, ended, token)
    else:
        future.add_done_callback(partial(_end_after_future, token))


def _tell(ended: Event, _: object) -> None:
    ended.set()


def _end_after_future(token: str, _: object) -> None:
    end_wait(token)


def _end_with_task(task: asyncio.Future[Any], ended: Event, token: str) -> None:
    """End the wait with the task; or when its loop has been seen twice not to run, for then it never ends."""
    stopped = 0
    while not ended.wait(LOOK_AGAIN):
        stopped = 0 if task.get_loop().is_running() else stopped + 1
        if stopped == 2:
            from logging import getLogger

            getLogger("post_runner").warning("given up, because its event loop no longer runs: %r", task)
            break
    end_wait(token)


def _log_failure_of(future: Future[Any] | asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log_failure(error)


def _run_in_thread(it: Awaitable[Any] | Callable[[], object], request_id: str, name: str) -> None:
    from contextvars import copy_context
    from threading import Thread

    token = open_wait(request_id, name)
    try:
        # The context goes along, so that a trace that was begun in the handler goes on.
        Thread(target=copy_context().run, args=[_run, it, token]).start()
    except BaseException:  # as above
        end_wait(token)
        raise


def _run(it: Awaitable[Any] | Callable[[], object], token: str) -> None:
    try:
        result = it() if callable(it) else it
        if hasattr(result, "__await__"):
            import asyncio

            asyncio.run(_await(result))
    except BaseException as error:  # noqa: BLE001 - whatever ends a thread is told before the freeze
        log_failure(error)
    finally:
        end_wait(token)


async def _await(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _watch(target: Callable[..., object], *args: object) -> None:
    """In a thread that does not keep the process alive, since it does no work of its own."""
    from threading import Thread

    Thread(target=target, args=args, daemon=True).start()
