"""One exchange between the handler and the Runtime API, and the loop of exchanges on one handler connection.

Nothing is answered here that the Runtime API did not answer, but for what is asked of us (`handler_api`). When
it cannot be reached, the handler's connection is closed and no status is invented: a runtime client ends then,
and Lambda starts it anew.
"""

from functools import partial

from aws_lambda_post_runner import runtime_api
from aws_lambda_post_runner.invocation import Invocation, Invocations, Outcome, Settled
from aws_lambda_post_runner.post import handler_api
from aws_lambda_post_runner.post.capture import Capture
from aws_lambda_post_runner.post.handler_api import HandlerApi
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.runtime_api import Call
from aws_lambda_post_runner.settings import Settings

from .answers import Answers
from .ask import ask, deliver
from .bodies import Tap
from .door import Door
from .ends import HandlerWire, RuntimeApiWire
from .heads import Headers, Malformed, RequestHead
from .polls import Polls
from .pool import Pool
from .shared import Shared
from .turn import turn
from .wire import Hangup


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
        self._captures_response = "response" in settings.capture
        self._capture_limit = settings.capture_limit
        self._invocations = invocations
        self._post_work = post_work
        self._report = report
        self._door = door
        self._pool = Pool(settings.runtime_api)
        # On Managed Instances several invocations are always to be expected.
        self._others = 0 if settings.max_concurrency is None else 1
        turn.under_way += self._others
        self.answers = Answers()
        self._polls = Polls(Shared(settings, invocations, post_work, report, door, self._pool, self.answers))
        self._handler_api = HandlerApi(invocations, post_work)

    async def serve(self, handler: HandlerWire) -> None:
        """Relay all exchanges of one handler connection, until either side closes; then close it."""
        try:
            while await self._exchange(handler):
                pass
            handler.drop_unread()
        except Hangup as hangup:
            if isinstance(hangup.wire, RuntimeApiWire):
                self._report.error("the Runtime API closed the connection without a whole answer")
        except Malformed as malformed:
            self._report.error(f"a malformed message was not relayed: {malformed}")
        except OSError as error:
            self._report.error(f"the Runtime API cannot be reached: {error.strerror}")
        finally:
            self._door.see_off(handler)

    def make_room(self) -> None:
        """Close what can be closed: descriptors have run out."""
        self._pool.drop_idle()
        self._polls.see_off_the_gone()

    def close(self) -> None:
        """Close what no handler connection owns."""
        turn.under_way -= self._others
        self._pool.close()

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
        call, request_id = runtime_api.read_call(method, target)
        match call:
            case Call.NEXT:
                return await self._polls.relay(handler, request)
            case Call.RESPONSE:
                await self._answer(handler, request, request_id, Outcome.RESPONSE)
            case Call.ERROR:
                await self._answer(handler, request, request_id, Outcome.ERROR)
            case _:
                await self._pass_through(handler, request, call)
        return request.keep_alive

    async def _receive_request(self, handler: HandlerWire) -> RequestHead | None:
        """The next request's head; None when there will be none, because of one that was refused as well."""
        self._door.listen_to(handler)
        # Post work has just begun, as a rule, and its command is still to be started.
        others = self._post_work.holding
        turn.under_way += others
        try:
            return await handler.receive_request()
        except Malformed as malformed:
            self._report.warn(f"a malformed request of the handler was refused: {malformed}")
            await handler.refuse(malformed)
            return None
        finally:
            turn.under_way -= others

    async def _answer(
        self, handler: HandlerWire, request: RequestHead, request_id: str, outcome: Outcome
    ) -> None:
        """Send the handler's answer on, settle the invocation when it was taken, and acknowledge."""
        captured = Capture(self._capture_limit) if self._captures_response else None
        document = Capture(runtime_api.ERROR_DOCUMENT_LIMIT) if outcome is Outcome.ERROR else None
        invocation = self._find(request, request_id)
        tap = _tap_of(captured, document)
        with self.answers.expect(invocation) as answer:
            async with self._pool.taken() as wire:
                trailers, response = await ask(handler, request, wire, tap)
                # Node's helper does not wait until it has been heard. What it asked before the answer may be here,
                # unread, and would come too late for the invocation.
                await self._door.wait_until_all_is_heard()
                if runtime_api.is_accepted(response.status):
                    if captured is not None:
                        invocation.captured["response"] = captured.pieces
                    self._settle(invocation, outcome, request, trailers, document)
                elif runtime_api.ends_invocation(response.status):
                    self._invocations.end(invocation)
                else:
                    self._invocations.refuse(invocation)
                if runtime_api.ends_invocation(response.status):
                    self.answers.give_up(invocation)
                answer.arrived()
                await deliver(handler, wire, response)

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

    async def _pass_through(self, handler: HandlerWire, request: RequestHead, call: Call) -> None:
        """Relay what does not concern us: the Extensions, Logs and Telemetry APIs, SnapStart, what is to come."""
        try:
            async with self._pool.taken() as wire:
                _, response = await ask(handler, request, wire)
                await deliver(handler, wire, response)
        finally:
            if call is Call.RESTORE_NEXT:
                # We have been restored from a snapshot: idle connections are clones of some that are long gone
                # (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html).
                self._pool.drop_idle()

    async def _answer_ourselves(self, handler: HandlerWire, request: RequestHead) -> bool:
        """Answer what is asked of us and not of the Runtime API."""
        await handler.invite_body(request)
        body = Capture(handler_api.WORK_LIMIT)
        await handler.body.drop(body)
        status, document = self._handler_api.answer(request.method, request.target, body.body)
        await handler.respond(request, status, b"application/json", document)
        return request.keep_alive


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
