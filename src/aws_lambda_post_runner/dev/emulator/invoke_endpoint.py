"""The endpoint that the runtime interface emulator has for callers, as Lambda's own Invoke API answers it.

It answers as soon as the response is complete, and passes a streamed one on part by part.
"""

import trio

from aws_lambda_post_runner.dev.moments import Recorder
from aws_lambda_post_runner.runtime_api import error_document

from .http import Disconnected, Request, ServerConnection, serve
from .invocations import (
    PAYLOAD_LIMIT_BYTES,
    Call,
    Invocation,
    Pending,
    StreamBegin,
    StreamEnd,
    WholeAnswer,
    decoded_client_context,
)

PREVIEW_BYTES = 200
START_HEADER = "X-Post-Runner-Dev-Start-Ms"
"""Ours, not Lambda's: how long the invocation waited for an execution environment to start, if it did."""
INVOKE_PATH = "/2015-03-31/functions/function/invocations"


class InvokeEndpoint:
    """Turns callers' requests into pending invocations, and their answers into replies."""

    def __init__(self, pending: Pending, recorder: Recorder) -> None:
        self._pending = pending
        self._recorder = recorder
        self.invocations: dict[str, Invocation] = {}

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one caller's connection until either side closes it."""
        await serve(stream, self._answer)

    async def _answer(self, request: Request, connection: ServerConnection) -> None:
        body = await connection.receive_body()
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["2015-03-31", "functions", _, "invocations"]:
                await self._invoke(request, connection, body)
            case _:
                message = f"Only POST {INVOKE_PATH} is served here"
                await _refuse(connection, 404, "ResourceNotFoundException", message)

    async def _invoke(self, request: Request, connection: ServerConnection, body: bytes) -> None:
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "DryRun":
            await connection.reply(204, [])
            return
        if kind not in {"RequestResponse", "Event"}:
            await _refuse(
                connection, 400, "InvalidParameterValueException", f"Unknown invocation type {kind}"
            )
            return
        if len(body) > PAYLOAD_LIMIT_BYTES:
            message = f"{len(body)} byte payload is too large; the limit is {PAYLOAD_LIMIT_BYTES} bytes"
            await _refuse(connection, 413, "RequestTooLargeException", message)
            return
        try:
            client_context = decoded_client_context(request.headers.get("x-amz-client-context"))
        except ValueError:
            message = "X-Amz-Client-Context must be JSON in base64"
            await _refuse(connection, 400, "InvalidRequestContentException", message)
            return
        call = Call(
            event=body,
            waits=kind == "RequestResponse",
            client_context=client_context,
            trace_id=request.headers.get("x-amzn-trace-id"),
            tenant_id=request.headers.get("x-amz-tenant-id"),
        )
        invocation = Invocation(call)
        self._recorder.now("sent", invocation.request_id, type=kind, bytes=len(body))
        self.invocations[invocation.request_id] = invocation
        self._pending.put(invocation)
        if not call.waits:
            self._answered(invocation, 202)
            await connection.reply(202, _identity(invocation))
            return
        try:
            await self._relay_answer(invocation, connection)
        except Disconnected:
            self._answered(invocation, None)
            raise

    async def _relay_answer(self, invocation: Invocation, connection: ServerConnection) -> None:
        streamed = 0
        async for part in invocation.answer:
            match part:
                case WholeAnswer():
                    self._answered(invocation, 200, part.body)
                    errors = [("X-Amz-Function-Error", "Unhandled")] if part.function_error else []
                    headers = _answer_headers(invocation, part.content_type)
                    await connection.reply(200, [*headers, *errors], part.body)
                    return
                case StreamBegin():
                    await connection.start_reply(200, _answer_headers(invocation, part.content_type))
                case StreamEnd():
                    self._answered(invocation, 200, streamed=streamed)
                    await connection.end_reply(part.trailers)
                    return
                case _:
                    streamed += len(part)
                    self._recorder.now("answer-part", invocation.request_id, bytes=len(part))
                    await connection.send_part(part)
        raise Disconnected("the answer was cut short, so the caller must see it cut")

    def _answered(
        self, invocation: Invocation, status: int | None, body: bytes = b"", *, streamed: int = 0
    ) -> None:
        if invocation.answered.is_set():
            return
        preview = body[:PREVIEW_BYTES].decode(errors="replace")
        length = len(body) + streamed
        self._recorder.now("answered", invocation.request_id, status=status, bytes=length, preview=preview)
        invocation.answered.set()


def _identity(invocation: Invocation) -> list[tuple[str, str]]:
    return [("X-Amzn-RequestId", invocation.request_id), ("X-Amzn-Trace-Id", invocation.trace_id)]


def _answer_headers(invocation: Invocation, content_type: str) -> list[tuple[str, str]]:
    start = [] if invocation.start_s is None else [(START_HEADER, f"{invocation.start_s * 1000:.0f}")]
    known = [("X-Amz-Executed-Version", "$LATEST"), ("Content-Type", content_type)]
    return [*_identity(invocation), *known, *start]


async def _refuse(connection: ServerConnection, status: int, error_type: str, message: str) -> None:
    headers = [("Content-Type", "application/json"), ("X-Amzn-ErrorType", error_type)]
    await connection.reply(status, headers, error_document(message, error_type))
