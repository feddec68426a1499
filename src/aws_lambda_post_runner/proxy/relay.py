"""One exchange between the handler and the Runtime API, and the loop of exchanges on one handler connection.

Nothing is answered here that the Runtime API did not answer, but for what is asked of us (`handler_api`). When
it cannot be reached, the handler's connection is closed and no status is invented: a runtime client ends then,
and Lambda starts it anew.
"""

from functools import partial

from trio.lowlevel import ParkingLot

from aws_lambda_post_runner import runtime_api
from aws_lambda_post_runner.invocation import Invocation, Invocations, Outcome, Settled
from aws_lambda_post_runner.post import handler_api
from aws_lambda_post_runner.post.capture import Capture
from aws_lambda_post_runner.post.handler_api import HandlerApi
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.runtime_api import Call
from aws_lambda_post_runner.settings import Settings

from .ask import ask
from .door import Door
from .heads import Headers, Malformed, RequestHead, ResponseHead
from .polls import Poll, Polls
from .pool import Pool
from .wire import HandlerWire, Hangup, Peek, RuntimeApiWire, Tap


class Relay:
    """What all handler connections have in common. Its tasks live in the nursery that calls `serve`."""

    def __init__(
        self,
        settings: Settings,
        invocations: Invocations,
        post_work: PostWork,
        report: Report,
        door: Door,
    ) -> None:
        self._capture = settings.capture
        self._capture_limit = settings.capture_limit
        self._post_work = post_work
        self._report = report
        self._door = door
        self._pool = Pool(settings.runtime_api)
        self._polls = Polls()
        self._invocations = invocations
        self._handler_api = HandlerApi(invocations, post_work)
        self._being_answered: list[Invocation] = []
        self._answer_arrived = ParkingLot()
        # On Managed Instances clients poll while others' answers are on their way.
        self._one_at_a_time = settings.max_concurrency is None

    async def serve(self, handler: HandlerWire) -> None:
        """Relay all exchanges of one handler connection, until either side closes; then close it."""
        try:
            while await self._exchange(handler):
                pass
        except Hangup as hangup:
            if hangup.wire is not handler:
                self._report.error("the Runtime API closed the connection without a whole answer")
        except Malformed as malformed:
            self._report.error(f"a malformed message was not relayed: {malformed}")
        except OSError as error:
            self._report.error(f"the Runtime API cannot be reached: {error.strerror}")
        finally:
            self._door.see_off(handler)

    @property
    def being_answered(self) -> list[Invocation]:
        """The invocations whose answers are on their way to the Runtime API."""
        return self._being_answered.copy()

    async def answers_arrive(self) -> None:
        """Return when no answer of the handler is on its way to the Runtime API."""
        while self._being_answered:
            await self._answer_arrived.park()

    def close(self) -> None:
        """Close what no handler connection owns."""
        self._pool.drop_idle()
        self._polls.close()

    async def _exchange(self, handler: HandlerWire) -> bool:
        """One request and its response. Return whether another can follow on this connection."""
        request = await self._receive_request(handler)
        if request is None:
            return False
        method, target = request.method, request.target
        if self._report.debugging:
            self._report.debug(f"the handler asks {method.decode()} {target.decode()}")
        if target.startswith(handler_api.PATH):
            return await self._answer_ourselves(handler, request)
        self._door.heard(handler)
        match runtime_api.read_call(method, target):
            case Call.NEXT, _:
                return await self._poll(handler, request)
            case Call.RESPONSE, request_id:
                return await self._answer(handler, request, request_id, Outcome.RESPONSE)
            case Call.ERROR, request_id:
                return await self._answer(handler, request, request_id, Outcome.ERROR)
            case call, _:
                return await self._pass_through(handler, request, call)

    async def _receive_request(self, handler: HandlerWire) -> RequestHead | None:
        """The next request's head; None when there will be none, because of one that was refused as well."""
        self._door.listen_to(handler)
        try:
            return await handler.receive_request()
        except Malformed as malformed:
            self._report.warn(f"a malformed request of the handler was refused: {malformed}")
            await handler.refuse(malformed)
            return None

    async def _poll(self, handler: HandlerWire, request: RequestHead) -> bool:
        """Hold the poll until it is its turn, send it on, and hand out the event that it brings."""
        held = self._one_at_a_time and await self._wait_for_turn()
        if (held or self._door.is_crowded) and handler.peek() is Peek.GONE:
            # It was held or read late, and the handler may have made another one since. The Runtime API answers a
            # poll too many with the event that is under way, and the handler would get that a second time.
            return False
        if self._report.observed:
            self._report.observe("poll-relayed")
        orphan = self._polls.orphan()
        if orphan is not None:
            return await self._inherit(orphan, handler, request)

        poll = self._polls.begin(handler)
        wire = None
        try:
            wire = await self._pool.take()
            _, response = await ask(handler, request, wire)
        except BaseException:
            poll.leave(None)
            self._polls.end(poll)
            if wire is not None:
                wire.close()
            raise
        if poll.handler is not handler or handler.peek() is Peek.GONE:
            poll.leave((wire, response))
            return False
        return await self._hand_out(poll, handler, request, wire, response)

    async def _wait_for_turn(self) -> bool:
        """Return when no answer is on its way and no post work is under way; tell whether that took any time.

        A client may poll before it has read that its answer was taken (aws-lambda-ric 4 does, when a streaming
        handler throws). What it sent before the poll on another connection may not even be read yet.
        """
        await self._door.wait_until_all_is_heard()
        if not self._being_answered and not self._post_work.holding:
            return False
        self._report.observe("poll-held")
        while self._being_answered or self._post_work.holding:
            await self.answers_arrive()
            await self._post_work.hold()
        return True

    async def _inherit(self, poll: Poll, handler: HandlerWire, request: RequestHead) -> bool:
        """Wait for the answer to a poll that another connection of the handler's has made, and gone away."""
        answer = await poll.inherit(handler)
        if answer is None or poll.handler is not handler or handler.peek() is Peek.GONE:
            return False
        return await self._hand_out(poll, handler, request, *answer)

    async def _hand_out(
        self,
        poll: Poll,
        handler: HandlerWire,
        request: RequestHead,
        wire: RuntimeApiWire,
        response: ResponseHead,
    ) -> bool:
        """Give the handler the answer to a poll: as a rule an event."""
        self._polls.end(poll)
        if not runtime_api.is_accepted(response.status):
            await self._deliver(handler, wire, response)
            return request.keep_alive
        invocation = self._invocations.add(response.headers)
        if self._one_at_a_time:
            self._invocations.end_others(invocation)
        capture = self._capture_of("event")
        await self._deliver(handler, wire, response, capture)
        if capture is not None:
            invocation.captured["event"] = capture.pieces
        return request.keep_alive

    async def _answer(
        self, handler: HandlerWire, request: RequestHead, request_id: str, outcome: Outcome
    ) -> bool:
        """Send the handler's answer on, settle the invocation when it was taken, and acknowledge."""
        captured = self._capture_of("response")
        document = Capture(runtime_api.ERROR_DOCUMENT_LIMIT) if outcome is Outcome.ERROR else None
        tap = _tap_of(captured, document)
        invocation = self._find(request, request_id)
        self._being_answered.append(invocation)
        try:
            wire = await self._pool.take()
            try:
                trailers, response = await ask(handler, request, wire, tap)
                # Node's helper does not wait until it has been heard. What it asked before the answer may be here,
                # unread, and would come too late for the invocation.
                await self._door.wait_until_all_is_heard()
            except BaseException:
                wire.close()
                raise
            if runtime_api.is_accepted(response.status):
                if captured is not None:
                    invocation.captured["response"] = captured.pieces
                self._settle(invocation, outcome, request, trailers, document)
            elif runtime_api.ends_invocation(response.status):
                self._invocations.end(invocation)
            else:
                self._invocations.refuse(invocation)
        finally:
            self._being_answered.remove(invocation)
            self._answer_arrived.unpark_all()
        await self._deliver(handler, wire, response)
        return request.keep_alive

    def _find(self, request: RequestHead, request_id: str) -> Invocation:
        invocation_id = runtime_api.read_text(request.headers.get(runtime_api.INVOCATION_ID, b""))
        possible_ids = runtime_api.possible_ids(request_id)
        for possible_id in possible_ids:
            invocation = self._invocations.find(possible_id, invocation_id)
            if invocation is not None:
                return invocation
        return Invocation(possible_ids[-1], invocation_id)

    def _settle(
        self,
        invocation: Invocation,
        outcome: Outcome,
        request: RequestHead,
        trailers: Headers,
        document: Capture | None,
    ) -> None:
        """The caller has its answer: post work begins, and from here on polls are held."""
        failed_half_way = dict(trailers).get(runtime_api.ERROR_TYPE)
        if failed_half_way is not None:
            outcome = Outcome.ERROR
        header = failed_half_way or request.headers.get(runtime_api.ERROR_TYPE, b"")
        error_type = runtime_api.read_text(header)
        if not error_type and document is not None:
            error_type = runtime_api.read_error_type(document.body or b"")
        settled = Settled(invocation, outcome, error_type)
        if self._report.observed:
            self._report.observe("settled", requestId=invocation.request_id, outcome=outcome.value)
        self._post_work.begin(settled)

    async def _pass_through(self, handler: HandlerWire, request: RequestHead, call: Call) -> bool:
        """Relay what does not concern us: the Extensions, Logs and Telemetry APIs, SnapStart, what is to come."""
        wire = await self._pool.take()
        try:
            _, response = await ask(handler, request, wire)
        except BaseException:
            wire.close()
            raise
        try:
            await self._deliver(handler, wire, response)
        finally:
            if call is Call.RESTORE_NEXT:
                # We have been restored from a snapshot: idle connections are clones of some that are long gone
                # (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html).
                self._pool.drop_idle()
        return request.keep_alive

    async def _answer_ourselves(self, handler: HandlerWire, request: RequestHead) -> bool:
        """Answer what is asked of us and not of the Runtime API."""
        await handler.invite_body(request)
        body = Capture(handler_api.WORK_LIMIT)
        await handler.drop_body(body)
        status, document = self._handler_api.answer(request.method, request.target, body.body)
        await handler.respond(request, status, b"application/json", document)
        return request.keep_alive

    async def _deliver(
        self, handler: HandlerWire, wire: RuntimeApiWire, response: ResponseHead, tap: Tap | None = None
    ) -> None:
        """Send a response to the handler; the connection to the Runtime API is free after it.

        What the handler still sends of a request that was refused early is taken: closing before would reset the
        connection, and the refusal would be lost.
        """
        try:
            handler.queue_response(response)
            await wire.pass_body(handler, tap)
        finally:
            self._pool.give_back(wire)
        await handler.drop_body()

    def _capture_of(self, name: str) -> Capture | None:
        return Capture(self._capture_limit) if name in self._capture else None


def _tap_of(*captures: Capture | None) -> Tap | None:
    """What lets each of these captures see a body that passes; None if there is none."""
    match [capture for capture in captures if capture is not None]:
        case []:
            return None
        case [capture]:
            return capture
        case several:
            return partial(_show, several)


def _show(captures: list[Capture], piece: bytes | memoryview) -> None:
    for capture in captures:
        capture(piece)
