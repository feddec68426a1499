"""Ask the Runtime API and deliver its response; hear that even while the request's body is still on its way.

A refusal may come early (413, when an answer has grown too large), from a Runtime API that then neither reads on nor
hangs up, and to a handler that will not send its next piece for a long time. Whoever asks hears it at once.
"""

from contextlib import suppress

import trio

from aws_lambda_post_runner import runtime_api

from .bodies import Tap
from .ends import HandlerWire, RuntimeApiWire
from .heads import Headers, Malformed, RequestHead, ResponseHead
from .turn import turn
from .wire import Hangup


async def ask(
    handler: HandlerWire, request: RequestHead, wire: RuntimeApiWire, tap: Tap | None = None
) -> tuple[Headers, ResponseHead]:
    """Send a request on, body and all; return its trailers and the head of the final response.

    If that is a refusal, some of the body may still be unread at `handler`, and has to be read and dropped after the
    refusal has been delivered. Raises Hangup and Malformed.
    """
    if request.expects_continue:
        await handler.invite_body(request)
    wire.queue_request(request)
    try:
        has_passed = handler.body.pass_at_once(wire, tap)
    except Hangup as hangup:
        wire.cut_off()
        if hangup.wire is handler:
            raise
        has_passed = True  # it may have answered all the same, and before it went away
    if not has_passed:
        return await _Upload(handler, request, wire).run(tap)
    return [], await _hear(handler, request, wire)


async def deliver(
    handler: HandlerWire, wire: RuntimeApiWire, response: ResponseHead, tap: Tap | None = None
) -> None:
    """Send a response to the handler, body and all. Raises Hangup and Malformed.

    What the handler still sends of a request that was refused early is taken: closing before would reset the
    connection, and the refusal would be lost.
    """
    handler.queue(response.onward)
    await wire.body.pass_to(handler, tap)
    await handler.body.drop()


async def _hear(handler: HandlerWire, request: RequestHead, wire: RuntimeApiWire) -> ResponseHead:
    """The head of the final response; informational ones before it are passed on."""
    response = await wire.receive_response(request)
    while response.status < 200:
        # We have sent our own 100 Continue, and HTTP/1.0 knows none of these.
        if request.speaks_11 and response.status != 100:
            with suppress(Hangup):
                await handler.flush(response.onward)
        response = await wire.receive_response(request)
    return response


class _Upload:
    """A body that has to be waited for, on its way up, while the response is listened for."""

    def __init__(self, handler: HandlerWire, request: RequestHead, wire: RuntimeApiWire) -> None:
        self._handler = handler
        self._request = request
        self._wire = wire
        self._sending = trio.CancelScope()
        self._trailers: Headers = []
        self._response: ResponseHead | None = None
        self._problem: Hangup | Malformed | None = None
        """What leaves nothing to be done but to close both connections."""

    async def run(self, tap: Tap | None) -> tuple[Headers, ResponseHead]:
        turn.under_way += 1
        try:
            return await self._run(tap)
        finally:
            turn.under_way -= 1

    async def _run(self, tap: Tap | None) -> tuple[Headers, ResponseHead]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            with self._sending:
                await self._send(tap, nursery.cancel_scope)
            if self._sending.cancelled_caught:
                self._wire.cut_off()
        if self._problem is not None or self._response is None:
            raise self._problem or Hangup(self._wire)
        return self._trailers, self._response

    async def _send(self, tap: Tap | None, both: trio.CancelScope) -> None:
        try:
            self._trailers = await self._handler.body.pass_to(self._wire, tap)
        except (Hangup, Malformed) as problem:
            self._wire.cut_off()
            if isinstance(problem, Hangup) and problem.wire is self._wire:
                return  # it may have answered all the same, and before it went away
            self._problem = problem
            both.cancel()

    async def _hear(self) -> None:
        try:
            self._response = await _hear(self._handler, self._request, self._wire)
        except (Hangup, Malformed) as problem:
            self._problem = problem
        if self._response is None or not runtime_api.is_accepted(self._response.status):
            self._sending.cancel()
