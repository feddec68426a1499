"""The one nursery: the listener, the handler, the signals and the post work, from start to exit status."""

import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import trio

from . import build
from .exits import ENDING, exit_status, signal_name, why_not_started
from .handler import start_handler
from .invocation import Invocation, Invocations
from .origin import drop_what_python_catches, ignored_signals, seconds_since_start
from .post.attempts import Attempts
from .post.command import CommandRunner
from .post.metrics import Metrics, source_of
from .post.settle import Settling
from .post.span import UnusableReceiver, read_receiver
from .post.spans import Spans
from .post.work import PostWork
from .proxy.door import Door
from .proxy.export import export
from .proxy.kept_tasks import KeptTasks
from .proxy.relay import Relay
from .report import Report
from .runtime_api import ADDRESS_VARIABLE
from .settings import OBSERVER_FD, Settings

STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
"""Those after which there is no more post work: what is under way is cut off, and what begins later."""
CUTTING = frozenset({signal.SIGHUP})
"""Those after which what is under way is cut off; many servers take them as a reload and go on."""

_BREATHER = 0.01
"""Seconds until we try again to accept a connection when descriptors have run out."""
_LAST_ANSWER = 2.0
"""Seconds for an answer that was under way then, if the deadline of its invocation is not known."""


async def supervise(settings: Settings, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the handler with us between it and the Runtime API; return the status to exit with.

    The handler is started as soon as the listener listens, since some clients give a connection one second
    (aws-lambda-cpp, runtime.cpp). The process is to end afterwards: what stops it by a signal is ignored from then on.
    """
    report = Report(settings.level, json_log=settings.json_log, observer_fd=settings.observer_fd)
    if build.STARTED:
        report.debug(build.STARTED)
    handler_environment = {
        name: value for name, value in environment.items() if name != OBSERVER_FD.full_name
    }
    if settings.next_wrapper:
        argv = [settings.next_wrapper, *argv]
    ignored = ignored_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nobody's exit status can be told
    drop_what_python_catches()
    with Door() as door, _meant_for_the_handler() as signals:
        async with trio.open_nursery() as nursery:
            try:
                handler = await start_handler(
                    nursery,
                    argv,
                    {**_with_ambient(settings, handler_environment, report), ADDRESS_VARIABLE: door.address},
                    ignored,
                )
            except OSError as error:
                message, status = why_not_started(error, argv[0])
                report.error(f"the handler cannot be started: {message}")
                return status
            report.observe("handler-started", pid=handler.pid)

            run_order = CommandRunner(settings, handler_environment, report).run
            run_command = Attempts(settings, run_order, report).see_through
            invocations = Invocations(settings.max_concurrency or 1)
            post_work = PostWork(nursery, invocations, run_command, settings, report)
            if settings.settle:
                post_work.settle_with(Settling(handler.pid, door.address).wait)
            _have_seen(post_work, settings, environment, report, nursery)
            relay = Relay(settings, invocations, post_work, report, door)
            nursery.start_soon(_welcome, door, relay, nursery)
            nursery.start_soon(_forward, signals, handler, post_work, report)
            await handler.wait()
            await door.wait_for_last_words()
            # A child of the handler's could hold a connection with half an answer for ever.
            with trio.move_on_after(_until_last_deadline(relay.answers.invocations, time.time())):
                await relay.answers.wait_until_all_arrived()
            await post_work.finish()
            nursery.cancel_scope.cancel()
        relay.close()
    status = exit_status(handler.returncode or 0)
    report.observe("handler-ended", status=status)
    return status


@contextmanager
def _meant_for_the_handler() -> Iterator[AsyncIterator[int]]:
    """Receive the signals that would end us.

    When the handler has ended there is nobody to pass them on to. What people send then is ignored, for whoever
    started us is to learn how the handler has ended: trio puts back what it found, and that is set here, while all
    signals wait.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    for number in STOPPING | CUTTING:
        signal.signal(number, signal.SIG_IGN)
    with trio.open_signal_receiver(*ENDING) as signals:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield signals


def _have_seen(
    post_work: PostWork,
    settings: Settings,
    environment: Mapping[str, str],
    report: Report,
    nursery: trio.Nursery,
) -> None:
    """Let the metrics and the spans that the settings ask for be made of all post work."""
    if settings.metrics:
        metrics = Metrics(source_of(settings, environment), report.write)
        metrics.keep_start(seconds_since_start(), time.time())
        post_work.keep_accounts(metrics.keep)
    if settings.spans:
        try:
            receiver = read_receiver(environment)
        except UnusableReceiver as problem:
            report.warn(f"SPANS does nothing: {problem}")
            return
        if receiver is not None:
            post_work.trace_with(Spans(nursery, receiver, export, report).trace)


def _with_ambient(settings: Settings, environment: dict[str, str], report: Report) -> dict[str, str]:
    """The handler's environment, with what AMBIENT asks for. Node does not start if the file is not there."""
    if not settings.ambient:
        return environment
    from .ambient import (  # noqa: PLC0415 - promised: nothing of it is loaded where nobody asked
        IN_LAYER,
        preload_file,
        with_preload,
    )

    path = preload_file(environment)
    if path is None:
        report.warn(
            f"AMBIENT does nothing: post-runner/ambient.js is neither in {IN_LAYER} nor with the function"
        )
        return environment
    return with_preload(environment, path)


def _until_last_deadline(invocations: Sequence[Invocation], now: float) -> float:
    """Seconds from `now` until all of these have timed out, and no answer is taken any more."""
    deadlines = (
        now + _LAST_ANSWER if each.deadline_ms is None else each.deadline_ms / 1000 for each in invocations
    )
    return max((0.0, *(deadline - now for deadline in deadlines)))


async def _welcome(door: Door, relay: Relay, nursery: trio.Nursery) -> None:
    """Give each handler connection a task of its own, which owns it."""
    tasks = KeptTasks(nursery, relay.serve)
    while True:
        try:
            handler = await door.welcome()
        except OSError:
            relay.make_room()
            await trio.sleep(_BREATHER)
        else:
            tasks.start(handler)


async def _forward(
    signals: AsyncIterator[int], handler: trio.Process, post_work: PostWork, report: Report
) -> None:
    """Pass on to the handler whatever would end us: it is meant for the handler, and does with it what it would do.

    That comes first of all: the handler must not see its poll closed before it is told why.
    """
    async for number in signals:
        try:
            handler.send_signal(number)
        except PermissionError:
            report.warn(
                f"{signal_name(number)} may not be passed on, for the handler has become another user; "
                "we end when it does"
            )
        if number in STOPPING:
            post_work.shut_down()
        elif number in CUTTING:
            post_work.cut()
