"""What `dev` does: serves a function, sends it events if it has any, shows what happens, and judges it."""

import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import trio

from .emulator.environment import Options
from .emulator.http import Disconnected
from .moments import Moment, Recorder
from .running import announced
from .session import USUAL_PORT, Session, listen, open_session
from .view.display import Display
from .view.timeline import Timeline
from .watch import Watcher, open_keys


@dataclass(frozen=True)
class Plan:
    """What to send; without an event, serve others until interrupted."""

    event: bytes | None = None
    invocations: int = 1
    pause_s: float = 0.0
    """Between the end of one invocation and the next."""
    watch: bool = False
    """Go on until interrupted: start the handler anew, and send the event again, when a source changes."""

    @property
    def is_open_ended(self) -> bool:
        """Whether it goes on until interrupted. What sends its own events and ends is not for other callers."""
        return self.event is None or self.watch


async def show_function(
    options: Options, plan: Plan, port: int | None, timeline: Timeline, display: Display
) -> int:
    """Serve and show a function until the plan is done or a signal comes; return the exit status.

    It is 1 when an invocation or a post command failed, and 128 + n after signal n. `port` is as `listen` has
    it. Raises OSError when the port is taken.
    """
    listeners = await listen(port)
    bound = listeners[0].socket.getsockname()[1]
    recorder = Recorder(partial(_pass_on, timeline, display))
    received: list[int] = []
    with (
        announced(f"127.0.0.1:{bound}") if plan.is_open_ended else contextlib.nullcontext(),
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_signal, signals, received, nursery.cancel_scope)
            nursery.start_soon(display.run)
            async with open_session(options, recorder, listeners) as session:
                if port is None and bound != USUAL_PORT:
                    recorder.now("port-taken", port=USUAL_PORT)
                await _follow(plan, session, options, recorder)
            nursery.cancel_scope.cancel()
    display.close()
    if received:
        return 128 + received[0]
    return 1 if any(block.failures for block in timeline.done) else 0


def _pass_on(timeline: Timeline, display: Display, moment: Moment) -> None:
    display.show(moment, timeline.add(moment))


async def _cancel_at_signal(
    signals: AsyncIterator[int], received: list[int], scope: trio.CancelScope
) -> None:
    async for signum in signals:
        received.append(signum)
        scope.cancel()


async def _follow(plan: Plan, session: Session, options: Options, recorder: Recorder) -> None:
    if not plan.watch:
        await _send(plan, session, options.concurrency or 1)
        if plan.event is None:
            await trio.sleep_forever()
        return
    watcher = Watcher(options.folder)
    with open_keys() as keys:
        while True:
            await _send(plan, session, options.concurrency or 1)
            reason = await watcher.wait_for_reason(keys)
            await session.environments.restart()
            recorder.now("restarted", reason=reason)


async def _send(plan: Plan, session: Session, at_once: int) -> None:
    if plan.event is None:
        return
    left = plan.invocations
    while left:
        batch = min(left, at_once)
        async with trio.open_nursery() as nursery:
            for _ in range(batch):
                nursery.start_soon(_invoke, session, plan.event)
        await session.wait_ended()
        left -= batch
        if left:
            await trio.sleep(plan.pause_s)


async def _invoke(session: Session, event: bytes) -> None:
    with contextlib.suppress(Disconnected):  # an answer that is cut short shows in the invocation's block
        await session.invoke(event)
