"""Starts the runner in the self-contained executable; the build puts this beside `entry`, and launcher.c calls it.

`prepare` is called once, by the build, before the snapshot is taken. `resume` is called at each start that goes on from
the snapshot, and `main` at one that could not and has booted Python as usual.
"""

import gc
import linecache
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module

import trio

from aws_lambda_post_runner import build
from aws_lambda_post_runner.entry import main as enter
from aws_lambda_post_runner.exits import ENDING
from aws_lambda_post_runner.invocation import Invocations
from aws_lambda_post_runner.origin import drop_what_python_catches, given_environment, ignored_signals
from aws_lambda_post_runner.post.attempts import Attempts
from aws_lambda_post_runner.post.command import CommandRunner
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.plain_heads import read_plain_request, read_plain_response
from aws_lambda_post_runner.proxy.relay import Relay
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import COMMAND, Settings, read, unknown_variables

_UNTIL_WARM = 16
"""CPython rewrites what has run eight times, and in a second step what it saw there."""
_STREAMS = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


def prepare(modules: Sequence[str]) -> None:
    """Import all modules, then take out what belongs to this process: the snapshot is to have nothing of it."""
    for name in modules:
        import_module(name)
    seeded = list(_generators())
    for generator in seeded:
        generator.seed(0)  # trio takes the tasks in the order that one of them gives
    for number in range(_UNTIL_WARM):
        _warm_up(number)
    for each in gc.get_objects():
        if isinstance(each, random.Random) and each not in seeded:
            raise RuntimeError(f"{each!r} would give every process the same random numbers")
    for generator in seeded:
        generator.seed(0)
    logging._startTime = 0.0  # type: ignore[attr-defined] # noqa: SLF001 - when it was imported
    os.environ.clear()
    for name, _, _ in _STREAMS:
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)
    main_thread = threading.main_thread()
    threading._active.clear()  # type: ignore[attr-defined] # noqa: SLF001 - as threading does after a fork
    main_thread._ident = main_thread._native_id = None  # type: ignore[attr-defined] # noqa: SLF001 - likewise
    _empty_caches()
    gc.collect()
    gc.freeze()  # what is imported stays: never look through it again, which would also copy its pages


def _warm_up(number: int) -> None:
    """Do what a start does, as far as it is the same each time: without the clock, another thread or another process.

    CPython rewrites the bytecode of what has run some times, for what it saw there, and remembers where it found
    attributes. A start then need not do so, nor copy the pages that this changes.
    """
    environment = given_environment({ADDRESS_VARIABLE: "127.0.0.1:9001", COMMAND.full_name: "true"})
    settings = read(environment)
    unknown_variables(environment)
    with suppress(OSError):  # an emulator tells only by the status that a folder is no program
        subprocess.Popen(["/"], env=environment, close_fds=False).wait()
    # One that has come before would not be read again.
    poll = read_plain_request(
        b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: :%d\r\n\r\n" % number
    )
    if poll is None or read_plain_response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", poll) is None:
        raise RuntimeError("what is warmed up is not what runs at a start")
    trio.run(_open_and_close, settings)


async def _open_and_close(settings: Settings) -> None:
    ignored_signals()
    drop_what_python_catches()
    with Door() as door, trio.open_signal_receiver(*ENDING):
        async with trio.open_nursery() as nursery:
            report, invocations = Report(settings.level), Invocations(1)
            run_command = Attempts(settings, CommandRunner(settings, {}, report).run, report).see_through
            post_work = PostWork(nursery, invocations, run_command, settings, report)
            Relay(settings, invocations, post_work, report, door).close()
            nursery.start_soon(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


def resume(argv: Sequence[bytes], variables: Sequence[bytes], ignored_signals: Sequence[int]) -> int:
    """Make this process's what the snapshot has of none, then run; return the status to exit with."""
    sys.argv = [os.fsdecode(argument) for argument in argv]
    sys.orig_argv = sys.argv.copy()
    environment = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001 - assigning would call putenv
    for variable in variables:
        name, sign, value = variable.partition(b"=")
        if sign:
            environment.setdefault(name, value)  # of two of the same name getenv finds the first
    main_thread = threading.main_thread()
    main_thread._set_ident()  # type: ignore[attr-defined] # noqa: SLF001 - as threading does after a fork
    main_thread._set_native_id()  # type: ignore[attr-defined] # noqa: SLF001 - likewise
    threading._active[main_thread.ident] = main_thread  # type: ignore[attr-defined] # noqa: SLF001 - likewise
    for generator in _generators():
        generator.seed()
    logging._startTime = time.time()  # type: ignore[attr-defined] # noqa: SLF001 - what `relativeCreated` counts from
    time.tzset()
    _open_streams()
    _take_signals(ignored_signals)
    return _run()


def main(problem: str) -> int:
    """Run under a Python that has booted as usual, because of a problem with the snapshot."""
    build.STARTED = f"started without the snapshot, which takes longer: {problem}"
    return _run()


def _run() -> int:
    try:
        return enter()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()


def _open_streams() -> None:
    """Open the standard streams that there are; one that was closed is None, as Python has it."""
    for name, descriptor, mode in _STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        errors = "backslashreplace" if name == "stderr" else "surrogateescape"
        buffering = 1 if name == "stderr" else -1
        stream = open(  # noqa: SIM115 - a descriptor has no path, and it lives as long as we
            descriptor, mode, buffering, encoding="utf-8", errors=errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _take_signals(ignored: Sequence[int]) -> None:
    """Know which signals we were started to ignore, as Python does.

    SIGINT, of which Python makes an exception, ends us until there is a handler to pass it on to; so our exit status
    tells what has ended us, which that of an exception does not.
    """
    for number in ignored:
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_IGN)
    if signal.SIGINT not in ignored:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _empty_caches() -> None:
    """Let go of what only made imports faster, and of the sources that attrs has generated: they would be resident."""
    for empty in typing._cleanups:  # type: ignore[attr-defined] # noqa: SLF001 - as CPython's own tests do
        empty()
    re.purge()
    linecache.clearcache()
    sys._clear_type_cache()  # noqa: SLF001 - it has no other name


def _generators() -> Iterator[random.Random]:
    """List the generators of random numbers that are in use: `random`'s own, and trio's that orders tasks."""
    yield random._inst  # noqa: SLF001 - what random.random() asks
    yield trio._core._run._r  # noqa: SLF001 - trio has no other name for it
