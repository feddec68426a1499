"""The polls that are out at the Runtime API, and what becomes of one whose handler connection goes away.

A poll is never abandoned: the Runtime API would write the next event to a connection that nobody reads, and the
event would be lost (seen on the runtime interface emulator). So it stays out, and its answer goes to the next
poll that the handler makes, which is then not sent on. .NET's client drops a poll after twelve hours
(LambdaBootstrap.cs), others when they are interrupted.
"""

import trio

from .heads import ResponseHead
from .wire import HandlerWire, Peek, RuntimeApiWire

Answer = tuple[RuntimeApiWire, ResponseHead]


class Poll:
    """One poll that is out, with the handler connection that waits for its answer."""

    __slots__ = ("_answer", "_answered", "handler")

    def __init__(self, handler: HandlerWire) -> None:
        self.handler = handler
        self._answered: trio.Event | None = None
        self._answer: Answer | None = None

    def leave(self, answer: Answer | None) -> None:
        """Leave the answer to whoever takes the poll over; None if there will be none.

        With the answer goes the connection on which its body has still to be read.
        """
        self._answer = answer
        if self._answered is None:
            self._answered = trio.Event()
        self._answered.set()

    async def inherit(self, handler: HandlerWire) -> Answer | None:
        """Take the poll over for `handler`; return the answer when it is there, None if none will come."""
        self.handler = handler
        if self._answered is None:
            self._answered = trio.Event()
        await self._answered.wait()
        return self._answer

    def close(self) -> None:
        """Close the connection that was left with the answer, if there is one."""
        if self._answer is not None:
            wire, _ = self._answer
            wire.close()


class Polls:
    """All polls that are out. Belongs to the relay."""

    def __init__(self) -> None:
        self._out: set[Poll] = set()

    def begin(self, handler: HandlerWire) -> Poll:
        """A poll goes out."""
        poll = Poll(handler)
        self._out.add(poll)
        return poll

    def end(self, poll: Poll) -> None:
        """Its answer has been delivered, or never will be."""
        self._out.discard(poll)

    def orphan(self) -> Poll | None:
        """A poll whose handler connection has gone away."""
        return next((poll for poll in self._out if poll.handler.peek() is Peek.GONE), None)

    def close(self) -> None:
        """Close the connections on which answers that nobody took over are still to be read."""
        for poll in self._out:
            poll.close()
        self._out.clear()
