"""Which `dev` waits for callers, for an `invoke` that is not told: a file for each, which goes when it ends."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _folder() -> Path:
    """Return where the files are: a folder that only this user can write to."""
    place = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(place) / f"aws-lambda-post-runner-{os.getuid()}"


@contextmanager
def announced(address: str) -> Iterator[None]:
    """Let `invoke` find this process at `address` while the block runs; where that cannot be, nothing happens."""
    file = _folder() / str(os.getpid())
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if _is_ours(file.parent):
            file.write_text(address)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()


def newest_address() -> str | None:
    """Return the host:port of the `dev` that was started last and still runs; None if there is none."""
    found = []
    with suppress(OSError):
        if _is_ours(_folder()):
            found = [(file.stat().st_mtime_ns, file) for file in _folder().iterdir()]
    for _, file in sorted(found, reverse=True):
        if file.name.isdecimal() and _is_running(int(file.name)):
            with suppress(OSError):
                return file.read_text()
    return None


def _is_ours(folder: Path) -> bool:
    # In a temp folder that all share, another user could have made it first, to have our events.
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
