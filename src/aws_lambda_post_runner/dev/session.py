"""A function on a laptop: callers invoke it, execution environments come and go as it needs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from .emulator.environment import ExecutionEnvironment, Options
from .emulator.http import Reply, ask
from .emulator.invocations import Invocation, Pending
from .emulator.invoke_endpoint import INVOKE_PATH, InvokeEndpoint
from .moments import Recorder

USUAL_PORT = 9000
"""The one on which the emulator's documentation publishes its endpoint."""


class Environments:
    """Starts an execution environment whenever an invocation waits for one; never on its own account."""

    def __init__(self, options: Options, pending: Pending, recorder: Recorder) -> None:
        self._options = options
        self._pending = pending
        self._recorder = recorder
        self._current: ExecutionEnvironment | None = None
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Run one after the other, until cancelled."""
        while True:
            await self._pending.wait()
            self._current = ExecutionEnvironment(self._options, self._pending, self._recorder)
            with trio.CancelScope() as self._scope:
                await self._current.run()
            self._current = None

    async def restart(self) -> None:
        """End the environment, once nothing is under way in it; the next event starts another."""
        while self._current is not None and (under_way := self._current.in_flight):
            await under_way[0].ended.wait()
        if self._current is not None:
            self._current.retire()
            self._scope.cancel()


@dataclass(frozen=True)
class Session:
    """A function that can be invoked at `address` (host:port)."""

    address: str
    invocations: dict[str, Invocation]
    """All so far, by request id."""
    environments: Environments

    async def invoke(self, event: bytes) -> Reply:
        """Invoke as any caller would. Raises `Disconnected` when the answer is cut short."""
        return await ask(self.address, f"POST {INVOKE_PATH}", event)

    async def wait_ended(self) -> None:
        """Wait until everything has been done for every invocation so far."""
        for invocation in list(self.invocations.values()):
            await invocation.answered.wait()
            await invocation.ended.wait()


async def listen(port: int | None) -> list[trio.SocketListener]:
    """Listen for callers on a port of loopback; 0: any, None: the usual one, or any if it is taken.

    Raises OSError when the port is taken.
    """
    if port is None:
        try:
            return await trio.open_tcp_listeners(USUAL_PORT, host="127.0.0.1")
        except OSError:
            port = 0
    return await trio.open_tcp_listeners(port, host="127.0.0.1")


@asynccontextmanager
async def open_session(
    options: Options, recorder: Recorder, listeners: list[trio.SocketListener]
) -> AsyncIterator[Session]:
    """Serve callers while the block runs; at its end no process is left."""
    pending = Pending()
    endpoint = InvokeEndpoint(pending, recorder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, endpoint.serve, listeners)
        environments = Environments(options, pending, recorder)
        nursery.start_soon(environments.run)
        address = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        recorder.now("listening", address=address)
        yield Session(address, endpoint.invocations, environments)
        nursery.cancel_scope.cancel()
