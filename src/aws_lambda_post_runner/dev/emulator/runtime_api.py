"""The Runtime API of one execution environment, with the state machine and the refusals of the real one.

It knows no process: what a poll means for them (freeze, thaw, deadline) is its host's business.
"""

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from aws_lambda_post_runner import runtime_api
from aws_lambda_post_runner.dev.moments import Recorder
from aws_lambda_post_runner.invocation import Outcome

from .http import Disconnected, Request, ServerConnection, serve
from .invocations import PAYLOAD_LIMIT_BYTES, Invocation, Pending

RESPONSE_MODE = "lambda-runtime-function-response-mode"
ERROR_TYPE = runtime_api.ERROR_TYPE.decode()


class Host(Protocol):
    """What the execution environment does when the handler polls."""

    def polled(self) -> None:
        """A poll has arrived."""

    def idle(self) -> None:
        """A poll waits, and nothing is pending: Lambda may freeze the environment."""

    def handed(self, invocation: Invocation) -> None:
        """The handler is about to get an event."""

    def settled(self, invocation: Invocation, outcome: Outcome) -> None:
        """The outcome of an invocation has been accepted."""


@dataclass(frozen=True)
class Function:
    """What is the same for all invocations of a function."""

    arn: str
    timeout_s: float
    concurrent: bool
    """Several polls at once, as on Lambda Managed Instances."""


@dataclass(frozen=True)
class Status:
    """What the handler is told about its request; `error_type` is empty when it was accepted."""

    code: int
    error_type: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What became of an outcome: what the handler is told, and the error's type if the invocation failed."""

    status: Status
    error_type: str | None


LAST_WORDS_S = 1.0
"""For what has been sent by processes that are gone: it is there already, and only to be read."""

ACCEPTED = Status(202, "", "OK")
INVALID_REQUEST_ID = Status(400, "InvalidRequestID", "Invalid request ID")
TIMED_OUT = Status(410, "InvokeTimeout", "Invoke timeout")
TRUNCATED = Status(400, "TruncatedHTTPRequest", "HTTP request detected as truncated")
TOO_LARGE = Status(
    413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({PAYLOAD_LIMIT_BYTES} bytes)."
)


def _wrong_state(state: str, wanted: str) -> Status:
    message = f"State transition from {state} to {wanted} failed for runtime. "
    return Status(403, "InvalidStateTransition", message + "Error: State transition is not allowed")


class RuntimeApi:
    """Hands pending invocations to the handler's polls, and their outcomes to their callers.

    `in_flight` holds the invocations that the handler has, by request id; their ends are recorded here or,
    when the handler dies or overruns, by `end`'s other callers.
    """

    def __init__(self, function: Function, pending: Pending, recorder: Recorder, host: Host) -> None:
        self._function = function
        self._pending = pending
        self._recorder = recorder
        self._host = host
        self._polled = False
        self._took_any = False
        self._timed_out: set[str] = set()
        self._connections = 0
        self._nobody_is_left = trio.Event()
        self.in_flight: dict[str, Invocation] = {}

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection of the handler until either side closes it."""
        self._connections += 1
        try:
            await serve(stream, self._answer)
        finally:
            self._connections -= 1
            if self._connections == 0:
                self._nobody_is_left.set()
                self._nobody_is_left = trio.Event()

    async def hear_out(self) -> None:
        """Return when all that has been sent is read, of a handler whose processes have ended.

        Each connection ends after what was sent on it. One that a process holds which has got away is not waited for.
        """
        with trio.move_on_after(LAST_WORDS_S):
            while self._connections:
                await self._nobody_is_left.wait()

    async def _answer(self, request: Request, connection: ServerConnection) -> None:
        call, request_id = runtime_api.read_call(request.method.encode(), request.path.encode())
        match call:
            case runtime_api.Call.NEXT:
                await self._next(connection)
            case runtime_api.Call.RESPONSE:
                await self._outcome(request, connection, request_id, Outcome.RESPONSE)
            case runtime_api.Call.ERROR:
                await self._outcome(request, connection, request_id, Outcome.ERROR)
            case _ if request.path.encode() == runtime_api.INIT_ERROR_TARGET:
                await self._init_error(connection)
            case _:
                await connection.receive_body()
                await connection.reply(404, [("Content-Type", "text/plain")], b"404 page not found\n")

    def end(self, invocation: Invocation, how: str) -> None:
        """Nothing more is done for an invocation."""
        del self.in_flight[invocation.request_id]
        self._recorder.now("ended", invocation.request_id, how=how)
        invocation.ended.set()

    def time_out(self, invocation: Invocation) -> None:
        """End an invocation whose deadline has passed; an outcome that comes later is refused with 410, once."""
        self._timed_out.add(invocation.request_id)
        invocation.fail("Sandbox.Timedout", f"Task timed out after {self._function.timeout_s:.2f} seconds")
        self.end(invocation, "timeout")

    def handler_ended(self, reason: str) -> None:
        """End what the handler had, or else the invocation for which it was started: it must not wait for ever."""
        for invocation in list(self.in_flight.values()):
            invocation.fail("Runtime.ExitError", reason)
            self.end(invocation, "crash")
        if not self._took_any:
            self._fail_first_pending(runtime_api.error_document(f"Error: {reason}", "Runtime.ExitError"))

    async def _next(self, connection: ServerConnection) -> None:
        await connection.receive_body()
        self._polled = True
        self._host.polled()
        invocation = None if self._function.concurrent else self._take_up_again()
        if invocation is None:
            invocation = await self._wait_for_invocation(connection)
        if invocation is not None:
            await connection.reply(200, self._event_headers(invocation), invocation.call.event)

    def _take_up_again(self) -> Invocation | None:
        """A poll without an answer before it gets the same event again; after an answer it ends the invocation."""
        for invocation in list(self.in_flight.values()):
            if not invocation.settled:
                return invocation
            self.end(invocation, "polled")
        return None

    async def _wait_for_invocation(self, connection: ServerConnection) -> Invocation | None:
        """Return the next pending invocation, or None when the handler has dropped its poll meanwhile."""
        if not self._pending:
            self._host.idle()
        invocation: Invocation | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_disconnected, connection, nursery.cancel_scope)
            invocation = await self._pending.take()
            self._took_any = True
            self.in_flight[invocation.request_id] = invocation
            invocation.deadline_ms = int((time.time() + self._function.timeout_s) * 1000)
            self._host.handed(invocation)
            nursery.cancel_scope.cancel()
        return invocation

    def _event_headers(self, invocation: Invocation) -> Iterable[tuple[str, str]]:
        values = {
            runtime_api.REQUEST_ID: invocation.request_id,
            runtime_api.DEADLINE_MS: str(invocation.deadline_ms),
            runtime_api.FUNCTION_ARN: self._function.arn,
            runtime_api.TRACE_ID: invocation.trace_id,
            runtime_api.TENANT_ID: invocation.call.tenant_id,
            b"lambda-runtime-client-context": invocation.call.client_context,
            runtime_api.INVOCATION_ID: str(uuid.uuid4()) if self._function.concurrent else None,
        }
        # In the case that Lambda writes them: some custom runtimes look for them with grep.
        named = [(name.decode().title(), value) for name, value in values.items() if value is not None]
        # It is JSON whatever the caller says; curl says that it is a form.
        return [("Content-Type", "application/json"), *named]

    async def _outcome(
        self, request: Request, connection: ServerConnection, request_id: str, outcome: Outcome
    ) -> None:
        invocation = self.in_flight.get(request_id)
        refusal = self._refusal(request, request_id, outcome)
        if invocation is None or refusal is not None:
            await connection.receive_body()
            await _reply_status(connection, refusal or INVALID_REQUEST_ID)
            return
        invocation.settled = True
        try:
            if request.headers.get(RESPONSE_MODE):
                verdict = await self._stream(request, connection, invocation)
            else:
                verdict = await self._collect(request, connection, invocation, outcome)
        except Disconnected:
            invocation.fail("Runtime.TruncatedResponse", "The response was cut short")
            self._settle(invocation, outcome, Verdict(TRUNCATED, "Runtime.TruncatedResponse"))
            raise
        if request_id in self._timed_out:
            await _reply_status(connection, TIMED_OUT)
            return
        self._settle(invocation, outcome, verdict)
        await _reply_status(connection, verdict.status)

    def _settle(self, invocation: Invocation, outcome: Outcome, verdict: Verdict) -> None:
        if invocation.request_id not in self.in_flight:  # its deadline has passed meanwhile
            return
        error_type = verdict.error_type
        self._recorder.now("settled", invocation.request_id, outcome=outcome.value, errorType=error_type)
        if verdict.status is ACCEPTED:
            self._host.settled(invocation, outcome)
        elif self._function.concurrent:  # no command follows, and no poll will end it
            self.end(invocation, "answered")

    def _refusal(self, request: Request, request_id: str, outcome: Outcome) -> Status | None:
        """Return why the real Runtime API would refuse an outcome, or None."""
        if request_id in self._timed_out:
            self._timed_out.remove(request_id)
            return TIMED_OUT
        if request_id not in self.in_flight:
            return INVALID_REQUEST_ID
        if self.in_flight[request_id].settled:
            return _wrong_state("InvocationResponse", f"Invocation{outcome.value.capitalize()}")
        if request.headers.get(RESPONSE_MODE, "streaming") != "streaming":
            return Status(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        return None

    async def _stream(
        self, request: Request, connection: ServerConnection, invocation: Invocation
    ) -> Verdict:
        """Pass a streamed response on to the caller part by part; its trailers may still say that it failed."""
        invocation.begin_stream(_content_type(request))
        while (part := await connection.receive_part()) is not None:
            invocation.send_part(part)
        invocation.end_stream(connection.trailers)
        trailers = {name.lower(): value for name, value in connection.trailers}
        return Verdict(ACCEPTED, trailers.get(ERROR_TYPE))

    async def _collect(
        self, request: Request, connection: ServerConnection, invocation: Invocation, outcome: Outcome
    ) -> Verdict:
        """Pass a response or an error on to the caller as a whole, if it is not too large."""
        body = bytearray()
        while (part := await connection.receive_part()) is not None:
            # What comes after the limit is drained, or the handler would never read the 413.
            if len(body) <= PAYLOAD_LIMIT_BYTES:
                body += part
        if len(body) > PAYLOAD_LIMIT_BYTES:
            invocation.fail("Function.ResponseSizeTooLarge", TOO_LARGE.message)
            return Verdict(TOO_LARGE, "Function.ResponseSizeTooLarge")
        is_error = outcome is Outcome.ERROR
        invocation.answer_whole(bytes(body), _content_type(request), function_error=is_error)
        error_type = request.headers.get(ERROR_TYPE) or _error_type_in(body) if is_error else None
        return Verdict(ACCEPTED, error_type)

    async def _init_error(self, connection: ServerConnection) -> None:
        """Give the error to the caller whose invocation started this environment."""
        body = await connection.receive_body()
        if self._polled:
            await _reply_status(connection, _wrong_state("Ready", "InitError"))
            return
        self._fail_first_pending(body)
        await _reply_status(connection, ACCEPTED)

    def _fail_first_pending(self, body: bytes) -> None:
        """Answer the invocation for which the handler was started with an error: it never became ready."""
        invocation = self._pending.take_nowait()
        if invocation is None:
            return
        self._took_any = True
        self.in_flight[invocation.request_id] = invocation
        invocation.settled = True
        invocation.answer_whole(body, "application/json", function_error=True)
        self._recorder.now("settled", invocation.request_id, outcome="error", errorType=_error_type_in(body))
        self.end(invocation, "init-error")


async def _reply_status(connection: ServerConnection, status: Status) -> None:
    body = b'{"status":"OK"}\n'
    if status.error_type:
        body = runtime_api.error_document(status.message, status.error_type)
    await connection.reply(status.code, [("Content-Type", "application/json")], body)


async def _cancel_when_disconnected(connection: ServerConnection, scope: trio.CancelScope) -> None:
    await connection.wait_disconnected()
    scope.cancel()


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream")


def _error_type_in(body: bytes | bytearray) -> str:
    """Return what an error's body calls it; awslambdaric says it nowhere else."""
    try:
        error = json.loads(body)
    except ValueError:
        return "Unknown"
    return str(error.get("errorType", "Unknown")) if isinstance(error, dict) else "Unknown"
