"""The handler's polls: each waits for its turn, goes out or inherits one that is out, and gets its event.

A poll is never abandoned: the Runtime API would write the next event to a connection that nobody reads, and the
event would be lost (seen on the runtime interface emulator). So one whose handler connection goes away stays out, and
its answer goes to the next poll that the handler makes, which is then not sent on. .NET's client drops a poll after
twelve hours (LambdaBootstrap.cs), others when they are interrupted.
"""

from trio.lowlevel import ParkingLot

from aws_lambda_post_runner import runtime_api
from aws_lambda_post_runner.invocation import State
from aws_lambda_post_runner.post.capture import Capture

from .ask import ask, deliver
from .ends import HandlerWire, RuntimeApiWire
from .heads import RequestHead, ResponseHead
from .shared import Shared

_ANSWER_MAY_FOLLOW = 0.25
"""Seconds that a poll waits for an answer to begin if there was none. aws-lambda-ric 4 polls in a thread of its own,
while its event loop still opens the connection on which a streaming handler's error goes out. A client that never
answers gets its event again that much later."""


class _Heir:
    """A poll that was not sent on, because one is out already whose connection has gone away."""

    __slots__ = ("handler", "is_delivered", "is_over")

    def __init__(self, handler: HandlerWire) -> None:
        self.handler = handler
        self.is_over = False
        """Whether there is nothing more to wait for."""
        self.is_delivered = False


class Polls:
    """All polls that are held or out. Belongs to the relay."""

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        self._captures_event = "event" in settings.capture
        self._capture_limit = settings.capture_limit
        self._invocations = shared.invocations
        self._post_work = shared.post_work
        self._report = shared.report
        self._door = shared.door
        self._pool = shared.pool
        self._answers = shared.answers
        # On Managed Instances clients poll while others' answers are on their way.
        self._one_at_a_time = settings.max_concurrency is None
        self._waiting: set[HandlerWire] = set()
        """The connections whose polls are held or out."""
        self._out: set[HandlerWire] = set()
        """The connections whose polls are out, and unanswered or still to be handed out."""
        self._heirs: list[_Heir] = []
        """Those that wait, the first one first. Whichever answer comes first is the first one's."""
        self._heirs_changed = ParkingLot()

    async def relay(self, handler: HandlerWire, request: RequestHead) -> bool:
        """See a poll through. Return whether another request can follow on the connection."""
        self.see_off_the_gone()
        self._waiting.add(handler)
        try:
            if self._one_at_a_time and await self._wait_for_turn() and handler.is_gone():
                return False
            if self._out:
                # While it waited, others may have become heirs, and have gone.
                self.see_off_the_gone()
                if handler.is_gone():
                    return False
            if self._orphans() > len(self._heirs):
                return await self._inherit(handler) and request.keep_alive
            return await self._send(handler, request) and request.keep_alive
        finally:
            self._waiting.discard(handler)

    def see_off_the_gone(self) -> None:
        """Close the connections that have gone away while their polls were held or out: nobody reads them."""
        if not self._waiting:
            return
        for handler in [each for each in self._waiting if each.is_gone()]:
            self._door.see_off(handler)
        for heir in [each for each in self._heirs if each.handler.is_gone()]:
            self._end_wait(heir)

    async def _wait_for_turn(self) -> bool:
        """Return when no answer is on its way and no post work is under way; tell whether that took any time.

        A client may poll before it has read that its answer was taken (aws-lambda-ric 4 does, when a streaming
        handler throws). What it sent before the poll on another connection may not even be read yet, and that
        connection may not even be there.
        """
        await self._door.wait_until_all_is_heard()
        may_follow = any(not each.answer_has_begun for each in self._invocations.in_state(State.IN_FLIGHT))
        if not may_follow and not self._answers.are_on_their_way and not self._post_work.holding:
            return False
        self._report.observe("poll-held")
        if may_follow:
            await self._answers.wait_until_one_begins(_ANSWER_MAY_FOLLOW)
        while self._answers.are_on_their_way or self._post_work.holding:
            await self._answers.wait_until_all_arrived()
            await self._post_work.hold()
        return True

    def _orphans(self) -> int:
        """How many polls are out whose connections have gone away."""
        return sum(1 for handler in self._out if handler.is_gone()) if self._out else 0

    async def _inherit(self, handler: HandlerWire) -> bool:
        """Wait for the answer to a poll whose connection has gone away; tell whether it was delivered."""
        self._report.observe("poll-relayed")
        heir = _Heir(handler)
        self._heirs.append(heir)
        self._heirs_changed.unpark_all()
        while not heir.is_over:
            await self._heirs_changed.park()
        return heir.is_delivered

    async def _send(self, handler: HandlerWire, request: RequestHead) -> bool:
        """Send the poll on and hand out its answer; tell whether that was delivered to `handler`."""
        async with self._pool.taken_for_poll() as wire:
            if (self._out or not self._door.has_only(handler)) and handler.is_gone():
                # It was read late or had to wait, and the handler may have made another one since, for which we have
                # closed its connection. The Runtime API answers a poll too many with the event that is under way, and
                # the handler would get that twice. And each that is out keeps a descriptor.
                return False
            if self._report.observed:
                self._report.observe("poll-relayed")
            self._out.add(handler)
            try:
                _, response = await ask(handler, request, wire)
                heir = await self._wait_for_heir() if handler.is_gone() else None
            finally:
                self._out.discard(handler)
                self._disappoint()
            if heir is None:
                await self._hand_out(handler, wire, response)
                return True
            try:
                await self._hand_out(heir.handler, wire, response)
                heir.is_delivered = True
            finally:
                self._end_wait(heir)
            return False

    async def _wait_for_heir(self) -> _Heir:
        """The next poll that the handler makes, on a connection that is there. From now on it waits for our answer."""
        while True:
            for heir in self._heirs:
                if not heir.handler.is_gone():
                    self._heirs.remove(heir)
                    return heir
            await self._heirs_changed.park()

    def _disappoint(self) -> None:
        """End the waits of those for whom no poll is out any more: it has failed."""
        for heir in self._heirs[self._orphans() :] if self._heirs else ():
            self._end_wait(heir)

    def _end_wait(self, heir: _Heir) -> None:
        heir.is_over = True
        if heir in self._heirs:
            self._heirs.remove(heir)
        self._heirs_changed.unpark_all()

    async def _hand_out(self, handler: HandlerWire, wire: RuntimeApiWire, response: ResponseHead) -> None:
        """Give the handler the answer to a poll: as a rule an event."""
        self._waiting.discard(handler)  # what it sends now is not to be lost, even if it has gone afterwards
        if not runtime_api.is_accepted(response.status):
            await deliver(handler, wire, response)
            return
        invocation = self._invocations.add(response.headers)
        if self._one_at_a_time:
            self._invocations.end_others(invocation)
        else:
            invocation.given_to = handler.port
        self._post_work.handed_out(invocation)
        capture = Capture(self._capture_limit) if self._captures_event else None
        await deliver(handler, wire, response, capture)
        if capture is not None:
            invocation.captured["event"] = capture.pieces
