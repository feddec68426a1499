"""What makes a handler start anew: a source file that changes, or a key."""

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

SOURCES = {".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".sh", ".jar", ".class", ".dll", ".so"}
"""What a handler is made of. Data is not watched: a post command that writes some must not restart the handler."""
SKIPPED = {"node_modules", "__pycache__", "venv"}
EVERY_S = 0.3
RESTART_KEY = b"r"


class Watcher:
    """Sees the sources of a folder change, also between two waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = _written(folder)

    async def wait_for_reason(self, keys: int | None) -> str:
        """Wait for a change or, if `keys` is a terminal's descriptor, for the key; return which, in words."""
        reason = "you asked for it"
        async with trio.open_nursery() as nursery:
            if keys is not None:
                nursery.start_soon(_wait_for_key, keys, nursery.cancel_scope)
            reason = f"{await self._wait_for_change()} has changed"
            nursery.cancel_scope.cancel()
        return reason

    async def _wait_for_change(self) -> Path:
        """Return a file, relative to the folder, that is new, gone or written."""
        while True:
            before, self._seen = self._seen, await trio.to_thread.run_sync(_written, self._folder)
            for path in sorted(before.keys() | self._seen.keys()):
                if before.get(path) != self._seen.get(path):
                    return path.relative_to(self._folder)
            await trio.sleep(EVERY_S)


@contextmanager
def open_keys() -> Iterator[int | None]:
    """Give a descriptor from which keys come one by one, without Enter; None where no terminal is ours to read."""
    if not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        yield None
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def _wait_for_key(fd: int, scope: trio.CancelScope) -> None:
    while RESTART_KEY not in await _read_keys(fd):
        pass
    scope.cancel()


async def _read_keys(fd: int) -> bytes:
    await trio.lowlevel.wait_readable(fd)
    return os.read(fd, 64) or await trio.sleep_forever()


def _written(folder: Path) -> dict[Path, int]:
    """Return when each source was written, in nanoseconds."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".") and each not in SKIPPED]
        for path in (Path(place, file) for file in files):
            if path.suffix in SOURCES:
                try:
                    found[path] = path.stat().st_mtime_ns
                except OSError:  # gone meanwhile
                    continue
    return found
