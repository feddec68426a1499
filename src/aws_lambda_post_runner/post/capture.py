"""Events and responses for the post command: collected while they pass, and handed over as files.

In memory until the command starts; then a file that only we can read, gone when the command has ended. Nothing
is collected unless the settings ask for it.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

Pieces = list[bytearray]
"""A captured body. Not in one: a heap that has once grown a buffer to six megabytes keeps eighteen, for glibc only
gives back what is larger than twice the largest block that it has seen."""

_PIECE = 64 * 1024
"""Bytes from which on a piece is not added to. Smaller ones are put together, or their heads would outweigh them."""


class Capture:
    """A tap on a body: keeps up to `limit` bytes, and nothing at all of a body that has more."""

    __slots__ = ("_left", "_pieces")

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._pieces: Pieces = []

    def __call__(self, piece: bytes | memoryview) -> None:
        """See a piece of the body pass."""
        self._left -= len(piece)
        try:
            if self._left >= 0:
                self._keep(piece)
        except MemoryError:  # the body passes all the same: it is as if it were too much
            self._left = -1
        if self._left < 0:
            self._pieces.clear()

    def _keep(self, piece: bytes | memoryview) -> None:
        if self._pieces and len(self._pieces[-1]) < _PIECE:
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    @property
    def pieces(self) -> Pieces | None:
        """What has passed; None if it was too much."""
        return None if self._left < 0 else self._pieces

    @property
    def body(self) -> bytes | None:
        """The same in one."""
        return None if self._left < 0 else b"".join(self._pieces)


@contextmanager
def captured_files(captured: MutableMapping[str, Pieces | None]) -> Iterator[dict[str, str]]:
    """The captured bodies as files, by the same names, for as long as the context lasts.

    What was too much to be captured, or cannot be written, is missing: the command runs without it. Of the
    bodies themselves nothing is kept.
    """
    written = {name: _write(name, captured) for name in captured}
    files = {name: path for name, path in written.items() if path is not None}
    try:
        yield files
    finally:
        for path in files.values():
            with suppress(OSError):  # the command may have moved or removed it
                Path(path).unlink()


def _write(name: str, captured: MutableMapping[str, Pieces | None]) -> str | None:
    """Let a file have a captured body, a file that only we can read; None if there is nothing to be had."""
    pieces, captured[name] = captured[name], None
    if pieces is None:
        return None
    # Left to itself tempfile would also try the current folder, which is the function's code.
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the only folder that Lambda lets us write to
    try:
        descriptor, path = mkstemp(prefix=f"post-runner-{name}-", dir=folder)
    except OSError:
        return None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - there is a descriptor, not a path
            file.writelines(pieces)
    except OSError:
        Path(path).unlink()  # half an event is worse than none
        return None
    return path
