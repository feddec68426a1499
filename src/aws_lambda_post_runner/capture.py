"""Events and responses for the post command: collected while they pass, and handed over as files.

In memory until the command starts; then a file that only we can read, gone when the command has ended. Nothing
is collected unless the settings ask for it.
"""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress


class Capture:
    """A tap on a body: keeps up to `limit` bytes, and nothing at all of a body that has more.

    In pages of its own, which go back to the system with it. A heap that has once held a few megabytes keeps
    them: measured with events of 6 MB, 18 MB stayed.
    """

    __slots__ = ("_limit", "_overflowed", "_size", "_view")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._view = memoryview(b"")
        self._overflowed = False

    def __call__(self, piece: bytes | memoryview) -> None:
        """See a piece of the body pass."""
        if not piece or self._overflowed:
            return
        end = self._size + len(piece)
        if end > self._limit:
            self._overflowed = True
            self._view = memoryview(b"")
            return
        if not self._size:
            self._view = _new_pages(self._limit)
        self._view[self._size : end] = piece
        self._size = end

    @property
    def view(self) -> memoryview | None:
        """What has passed; None if it was too much."""
        return None if self._overflowed else self._view[: self._size]

    @property
    def body(self) -> bytes | None:
        """A copy of what has passed; None if it was too much."""
        return None if self._overflowed else bytes(self._view[: self._size])


def _new_pages(size: int) -> memoryview:
    """Memory of which only what is written to is really taken."""
    try:
        from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap  # only if something is captured
    except ModuleNotFoundError:  # the layers' own Python has no mmap; its malloc gives large blocks back as well
        return memoryview(bytearray(size))
    return memoryview(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS))


@contextmanager
def captured_files(captured: MutableMapping[str, memoryview | None]) -> Iterator[dict[str, str]]:
    """The captured bodies as files, by the same names, for as long as the context lasts.

    What was too much to be captured, or cannot be written, is missing: the command runs without it. Of the
    bodies themselves nothing is kept.
    """
    files: dict[str, str] = {}
    try:
        for name, body in captured.items():
            if body is not None:
                with suppress(OSError):
                    files[name] = path = _new_path(name)
                    _write_private(path, body)
                captured[name] = None
        yield {name: path for name, path in files.items() if os.path.exists(path)}  # noqa: PTH110 - see below
    finally:
        for path in files.values():
            with suppress(OSError):  # the command may have moved or removed it
                os.unlink(path)  # noqa: PTH108 - pathlib would cost every cold start some milliseconds


def _new_path(name: str) -> str:
    # tempfile would do the same, but costs every cold start several milliseconds.
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the only folder that Lambda lets us write to
    return f"{folder}/post-runner-{name}-{os.urandom(8).hex()}"


def _write_private(path: str, body: memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - there is a descriptor, not a path
            file.write(body)
    except OSError:
        os.unlink(path)  # noqa: PTH108 - half an event is worse than none
        raise
