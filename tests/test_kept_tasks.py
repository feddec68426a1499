"""Tasks are kept for the next thing to do, and nothing that is given to them is lost or waits for another's end."""

import trio
import trio.testing
from trio.lowlevel import current_task

from aws_lambda_post_runner.proxy.kept_tasks import KeptTasks

PATIENCE = 10


class Things:
    """Notes who does what; a thing is done when its event is set."""

    def __init__(self) -> None:
        self.done_by: list[trio.lowlevel.Task] = []
        self.under_way: list[trio.Event] = []

    async def run(self, thing: trio.Event) -> None:
        self.under_way.append(thing)
        await thing.wait()
        self.done_by.append(current_task())

    async def are_under_way(self, number: int) -> None:
        while len(self.under_way) < number:
            await trio.lowlevel.checkpoint()

    async def are_done(self, number: int) -> None:
        while len(self.done_by) < number:
            await trio.lowlevel.checkpoint()


def test_what_comes_after_the_other_is_done_by_the_same_task() -> None:
    async def play() -> None:
        things = Things()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                tasks = KeptTasks(nursery, things.run)
                for number in range(1, 4):
                    thing = trio.Event()
                    thing.set()
                    tasks.start(thing)
                    await things.are_done(number)
                nursery.cancel_scope.cancel()
        assert len(set(things.done_by)) == 1

    trio.run(play)


def test_what_comes_together_is_done_at_once_by_as_many_and_later_few_are_kept() -> None:
    async def play() -> None:
        things = Things()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                tasks = KeptTasks(nursery, things.run)
                crowd = [trio.Event() for _ in range(20)]
                for thing in crowd:
                    tasks.start(thing)
                await things.are_under_way(20)
                for thing in crowd:
                    thing.set()
                await things.are_done(20)
                await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) < 10
                nursery.cancel_scope.cancel()
        assert len(set(things.done_by)) == 20

    trio.run(play)


def test_what_is_given_while_a_task_ends_its_last_thing_is_done_too() -> None:
    async def play() -> None:
        things = Things()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                tasks = KeptTasks(nursery, things.run)
                for _ in range(200):
                    first, second = trio.Event(), trio.Event()
                    tasks.start(first)
                    await things.are_under_way(len(things.done_by) + 1)
                    first.set()
                    second.set()
                    tasks.start(second)
                    await things.are_done(len(things.under_way) - len(things.under_way) % 2)
                await things.are_done(400)
                nursery.cancel_scope.cancel()

    trio.run(play)
