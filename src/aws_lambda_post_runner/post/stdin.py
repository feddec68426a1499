"""The command's standard input: what the handler has handed over, all of it there before the command starts.

No pipe, which somebody would have to fill for as long as anybody keeps it open.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO


@contextmanager
def standard_input(work: Sequence[bytes]) -> Iterator[int | IO[bytes]]:
    """A file of these pieces, without a name, open for as long as the context lasts; nothing if there are none.

    Raises OSError if there is no room for it.
    """
    if not work:
        yield subprocess.DEVNULL
        return
    with _nameless_file() as file:
        file.writelines(work)
        file.seek(0)
        yield file


def _nameless_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # in memory, for there may be no folder that we can write to
        return open(os.memfd_create("post-runner-work"), "w+b")  # noqa: PTH123 - there is a descriptor, not a path
    return tempfile.TemporaryFile()
