"""A function under the post runner for tests that know nothing of trio: it is served by a thread of its own."""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import trio

from aws_lambda_post_runner.settings import COMMAND, MODE

from .emulator.environment import Options
from .emulator.http import Reply
from .local_function import Wanted, find_function
from .moments import Moment, Recorder
from .session import Session, listen, open_session
from .view.display import as_text
from .view.timeline import Block, Timeline

START_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class PostWork:
    """A post command that has ended, as the runner reports it."""

    request_id: str
    exit_status: int | None
    """None when a signal ended it or it could not be started."""
    signal: int | None
    seconds: float
    seconds_after_answer: float
    """How long after the caller's answer it ended."""
    cut_off_by: str | None
    """`timeout`, `deadline` or `shutdown`, if one did."""
    problem: str | None
    """Why it was not started, if it was not."""


@dataclass(frozen=True)
class Waits:
    """What the handler asked to wait for after an answer, ended or given up."""

    request_id: str
    expired: int
    """How many had not ended when they were given up."""
    seconds_after_answer: float
    """How long after the caller's answer the last of them ended."""


@dataclass(frozen=True)
class Answer:
    """What a caller got."""

    request_id: str
    status: int
    body: bytes
    function_error: bool
    seconds: float
    """How long the caller waited, without the start of the execution environment."""
    function: "RunningFunction"

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)

    def post_work(self, timeout: float = 10.0) -> PostWork | None:
        """Wait until nothing more is done for the invocation; return its post command, or None if none ran.

        Raises TimeoutError when that takes longer than `timeout` seconds.
        """
        block = self.function.wait_complete(self.request_id, timeout)
        command = block.command
        if not command or block.command_ended is None or block.answered is None:
            return None
        return PostWork(
            request_id=self.request_id,
            exit_status=command["exitStatus"],
            signal=command["signal"],
            seconds=command["durationMs"] / 1000,
            seconds_after_answer=block.command_ended - block.answered,
            cut_off_by=command["cutOffBy"],
            problem=command["problem"],
        )

    def waits(self, timeout: float = 10.0) -> Waits | None:
        """Wait until nothing more is done for the invocation; return its waits, or None if it asked for none.

        Raises TimeoutError when that takes longer than `timeout` seconds.
        """
        block = self.function.wait_complete(self.request_id, timeout)
        if block.waits_ended is None or block.answered is None:
            return None
        return Waits(self.request_id, block.expired_waits, block.waits_ended - block.answered)


class RunningFunction:
    """A function that can be invoked; a context manager, at whose end no process of it is left."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._timeline = Timeline()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=trio.run, args=[self._serve], name="lambda")
        self._started = threading.Event()
        self._token: trio.lowlevel.TrioToken
        self._stop: trio.Event
        self._session: Session
        self.moments: list[Moment] = []
        """All that has happened so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_S):
            raise TimeoutError("the function could not be served")
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> str:
        """The host:port of its invoke endpoint."""
        return self._session.address

    @property
    def blocks(self) -> list[Block]:
        """All invocations for which nothing more is done, as the timeline has them."""
        with self._changed:
            return list(self._timeline.done)

    @property
    def output(self) -> list[str]:
        """All lines that the handler, the runner and the commands have written so far."""
        return [moment.details["line"] for moment in self.moments if moment.what == "output"]

    def invoke(self, event: Any = None) -> Answer:
        """Invoke it with an event that JSON can express, and wait for the answer."""
        body = json.dumps(event).encode()
        reply = trio.from_thread.run(self._session.invoke, body, trio_token=self._token)
        return self._answer(reply)

    def invoke_at_once(self, *events: Any) -> list[Answer]:
        """Invoke it with several events at the same time; return their answers, in the order of the events."""
        bodies = [json.dumps(event).encode() for event in events]
        replies = trio.from_thread.run(self._invoke_all, bodies, trio_token=self._token)
        return [self._answer(reply) for reply in replies]

    def timeline(self, width: int) -> str:
        """Return what has happened so far as text for so many columns, as `dev` shows it."""
        with self._changed:
            blocks = [*self._timeline.done, *self._timeline.open.values()]
            return as_text(blocks, time.time(), width)

    def wait_complete(self, request_id: str, timeout: float) -> Block:
        """Wait until nothing more is done for an invocation. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: request_id not in self._timeline.open, timeout):
                raise TimeoutError(f"invocation {request_id} has not ended within {timeout} s")
            return next(block for block in self._timeline.done if block.request_id == request_id)

    def wait_for(self, what: str, timeout: float = 10.0) -> Moment:
        """Wait until something has happened, and return its last time. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: any(moment.what == what for moment in self.moments), timeout
            ):
                raise TimeoutError(f"{what} has not happened within {timeout} s")
            return [moment for moment in self.moments if moment.what == what][-1]

    def _answer(self, reply: Reply) -> Answer:
        request_id = reply.headers["x-amzn-requestid"]
        with self._changed:
            blocks = [*self._timeline.open.values(), *self._timeline.done]
            block = next(block for block in blocks if block.request_id == request_id)
            answered = block.answered or time.time()
        return Answer(
            request_id=request_id,
            status=reply.status,
            body=reply.body,
            function_error="x-amz-function-error" in reply.headers,
            seconds=answered - (block.ready or block.sent),
            function=self,
        )

    async def _invoke_all(self, bodies: Sequence[bytes]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        async with trio.open_nursery() as nursery:
            for number, body in enumerate(bodies):
                nursery.start_soon(self._invoke_into, replies, number, body)
        return [replies[number] for number in range(len(bodies))]

    async def _invoke_into(self, replies: dict[int, Reply], number: int, body: bytes) -> None:
        replies[number] = await self._session.invoke(body)

    async def _serve(self) -> None:
        async with open_session(self._options, Recorder(self._note), await listen(0)) as self._session:
            self._token = trio.lowlevel.current_trio_token()
            self._stop = trio.Event()
            self._started.set()
            await self._stop.wait()

    def _note(self, moment: Moment) -> None:
        with self._changed:
            self._timeline.add(moment)
            self.moments.append(moment)
            self._changed.notify_all()


@dataclass(frozen=True)
class Wishes:
    """How a test wants its function; None is what the environment or a default says."""

    command: str | None
    mode: str | None
    concurrency: int | None
    environ: Mapping[str, str]
    timeout: float


def function_options(handler: tuple[str, ...], wishes: Wishes) -> Options:
    """Return how to run a handler in a test: this process's environment, and on top of it what the test wishes.

    `handler` is a command, or as Lambda has it (`app.handler`). Without a command and a mode there is only what the
    handler asks to wait for. Raises NoFunctionError.
    """
    asked = {COMMAND.full_name: wishes.command, MODE.full_name: wishes.mode}
    given = {**wishes.environ, **{name: value for name, value in asked.items() if value is not None}}
    function = find_function(Wanted(handler, given=given), os.environ)
    return Options(
        function.handler,
        timeout_s=wishes.timeout,
        concurrency=wishes.concurrency,
        environ=function.environ,
    )
