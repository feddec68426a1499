"""The answers of the handler that are on their way to the Runtime API."""

from types import TracebackType
from typing import Self

import trio
from trio.lowlevel import ParkingLot

from aws_lambda_post_runner.invocation import Invocation


class Answers:
    """All that are on their way. Belongs to the relay."""

    def __init__(self) -> None:
        self._on_their_way: set[OnItsWay] = set()
        self._one_began = ParkingLot()
        self._one_arrived = ParkingLot()

    @property
    def are_on_their_way(self) -> bool:
        """Whether there are any."""
        return bool(self._on_their_way)

    @property
    def invocations(self) -> list[Invocation]:
        """What is being answered."""
        return [answer.invocation for answer in self._on_their_way]

    def expect(self, invocation: Invocation) -> "OnItsWay":
        """An answer to this invocation begins to come; to be entered, and left when it can come no more."""
        answer = OnItsWay(self, invocation)
        self._on_their_way.add(answer)
        invocation.answer_has_begun = True
        if self._one_began:
            self._one_began.unpark_all()
        return answer

    def give_up(self, invocation: Invocation) -> None:
        """This invocation is over: of what else was begun as an answer to it nothing is expected any more.

        A client can have begun a stream, then sent an error on another connection, and never end the stream.
        """
        self._on_their_way = {each for each in self._on_their_way if each.invocation is not invocation}
        self._one_arrived.unpark_all()

    def ended(self, answer: "OnItsWay") -> None:
        """This one has arrived, or never will. Can be called again."""
        if answer in self._on_their_way:
            self._on_their_way.remove(answer)
            self._one_arrived.unpark_all()

    async def wait_until_one_begins(self, seconds: float) -> None:
        """Return when one is on its way, or after so many seconds."""
        with trio.move_on_after(seconds):
            while not self._on_their_way:
                await self._one_began.park()

    async def wait_until_all_arrived(self) -> None:
        """Return when none is on its way."""
        while self._on_their_way:
            await self._one_arrived.park()


class OnItsWay:
    """One answer, until it has arrived or its context is left."""

    __slots__ = ("_answers", "invocation")

    def __init__(self, answers: Answers, invocation: Invocation) -> None:
        self._answers = answers
        self.invocation = invocation

    def arrived(self) -> None:
        """The Runtime API has taken or refused it."""
        self._answers.ended(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._answers.ended(self)
