"""Lines that other processes write into a pipe of ours."""

import os
from collections.abc import Callable
from typing import Self

import trio

READ_BYTES = 64 * 1024


class PipeLines:
    """A pipe whose writing end is given to processes, and whose lines go to `on_line` as they come."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._unfinished = b""
        self._read_fd, self.write_fd = os.pipe()
        self._write_open = True
        os.set_blocking(self._read_fd, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close both ends; call it when `run` has been cancelled."""
        self.close_write()
        os.close(self._read_fd)

    def close_write(self) -> None:
        """Close our copy of the writing end: its users have theirs by now."""
        if self._write_open:
            self._write_open = False
            os.close(self.write_fd)

    async def run(self) -> None:
        """Pass lines on until everyone has closed the writing end."""
        while self.drain():
            await trio.lowlevel.wait_readable(self._read_fd)

    def drain(self) -> bool:
        """Pass on, at once, what has been written so far; False when the writing end is closed.

        Whoever learns by another way that something has been written calls this first, to have it in order.
        """
        try:
            while data := os.read(self._read_fd, READ_BYTES):
                *lines, self._unfinished = (self._unfinished + data).split(b"\n")
                for line in lines:
                    self._on_line(line.decode(errors="replace"))
        except BlockingIOError:
            return True
        if self._unfinished:
            self._on_line(self._unfinished.decode(errors="replace"))
            self._unfinished = b""
        return False
