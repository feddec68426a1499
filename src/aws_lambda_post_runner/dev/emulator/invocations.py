"""Invocations on their way: what a caller asked for, where it stands, and the parts of its answer.

It knows no HTTP and no process: the invoke endpoint puts invocations in, the Runtime API takes them out.
"""

import base64
import contextlib
import json
import math
import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import trio

from aws_lambda_post_runner.runtime_api import error_document

# Lambda's limit for an event or a buffered response is 6 MiB; the platform itself allows 100 bytes more.
PAYLOAD_LIMIT_BYTES = 6 * 1024 * 1024 + 100


@dataclass(frozen=True)
class Call:
    """What a caller sent."""

    event: bytes
    waits: bool = True
    """False for X-Amz-Invocation-Type: Event, whose caller is let go at once."""
    client_context: str | None = None
    """JSON text, as the runtime gets it."""
    trace_id: str | None = None
    tenant_id: str | None = None


@dataclass(frozen=True)
class WholeAnswer:
    """An answer that is complete."""

    body: bytes
    content_type: str
    function_error: bool


@dataclass(frozen=True)
class StreamBegin:
    """An answer that comes in parts begins."""

    content_type: str


@dataclass(frozen=True)
class StreamEnd:
    """A streamed answer is complete; one that ends without it was cut short."""

    trailers: tuple[tuple[str, str], ...]


AnswerPart = WholeAnswer | StreamBegin | bytes | StreamEnd


class Invocation:
    """One invocation, from its caller's request until nothing more is done for it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.request_id = str(uuid.uuid4())
        self.trace_id = call.trace_id or _new_trace_id()
        self.arrived = time.monotonic()
        self.start_s: float | None = None
        """How long it waited for an execution environment to start; None: one was there, or none is yet."""
        self.deadline_ms = 0
        """Milliseconds since the epoch; known once the handler has the event."""
        self.settled = False
        """The Runtime API has its outcome, or is being told it; a second one is refused."""
        self.answered = trio.Event()
        """The caller has its answer, or is gone."""
        self.ended = trio.Event()
        """Nothing more is done for it."""
        self._streams = False
        # Unbounded, because the caller may be slow, gone, or (Event) never have waited.
        self._parts, self.answer = trio.open_memory_channel[AnswerPart](math.inf)

    def answer_whole(self, body: bytes, content_type: str, *, function_error: bool) -> None:
        """Give the caller an answer that is complete."""
        self._parts.send_nowait(WholeAnswer(body, content_type, function_error))
        self._parts.close()

    def begin_stream(self, content_type: str) -> None:
        """Tell the caller that its answer comes in parts."""
        self._streams = True
        self._parts.send_nowait(StreamBegin(content_type))

    def send_part(self, part: bytes) -> None:
        """Pass a part of a streamed answer on; one that comes after a failure is dropped."""
        with contextlib.suppress(trio.ClosedResourceError):
            self._parts.send_nowait(part)

    def end_stream(self, trailers: Iterable[tuple[str, str]]) -> None:
        """Complete a streamed answer, if it has not failed meanwhile."""
        with contextlib.suppress(trio.ClosedResourceError):
            self._parts.send_nowait(StreamEnd(tuple(trailers)))
            self._parts.close()

    def fail(self, error_type: str, message: str) -> None:
        """Give the caller an error of Lambda's own; a streamed answer can only be cut short.

        An invocation whose answer is complete is left as it is.
        """
        self.settled = True
        with contextlib.suppress(trio.ClosedResourceError):
            if not self._streams:
                body = error_document(f"RequestId: {self.request_id} Error: {message}", error_type)
                self._parts.send_nowait(WholeAnswer(body, "application/json", function_error=True))
            self._parts.close()


class Pending:
    """The invocations that no handler has taken yet, first come first served."""

    def __init__(self) -> None:
        self._invocations: deque[Invocation] = deque()
        self._arrival = trio.Event()

    def __len__(self) -> int:
        return len(self._invocations)

    def put(self, invocation: Invocation) -> None:
        """Add an invocation and wake everyone who waits for one."""
        self._invocations.append(invocation)
        self._arrival.set()
        self._arrival = trio.Event()

    async def wait(self) -> None:
        """Return when there is an invocation to take."""
        while not self._invocations:
            await self._arrival.wait()

    async def take(self) -> Invocation:
        """Wait for an invocation and take it."""
        await self.wait()
        return self._invocations.popleft()

    def take_nowait(self) -> Invocation | None:
        """Take the next invocation if there is one."""
        return self._invocations.popleft() if self._invocations else None


def decoded_client_context(header: str | None) -> str | None:
    """Return the JSON text in an X-Amz-Client-Context header. Raises ValueError when it is not base64 of JSON."""
    if header is None:
        return None
    text = base64.b64decode(header, validate=True).decode()
    context: Any = json.loads(text)
    return json.dumps(context)


def _new_trace_id() -> str:
    root, parent = uuid.uuid4().hex, uuid.uuid4().hex
    return f"Root=1-{root[:8]}-{root[8:]};Parent={parent[:16]};Sampled=0"
