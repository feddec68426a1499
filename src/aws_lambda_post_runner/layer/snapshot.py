"""Takes the snapshot of an executable's memory, looks it through, and attaches it: see snapshot.h for what it is.

It must not know what is in the memory, but for what must never be in it.
"""

import getpass
import os
import platform
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PAGE = 1 << 16
"""The largest pages that a kernel of these processors has: what is mapped begins on such a border in the file."""

TIME_LIMIT = 120
"""Seconds that taking it may last: here it takes one, under an emulator ten."""

_PLACE, _SEAL_SIZE = b"POSTRUNNERPLACE\0", 16  # struct place of snapshot.c
_IMAGE = struct.Struct(f"<{_SEAL_SIZE}s5Q")  # struct image, without its runs
_RUN = struct.Struct("<3Q")
_RUNS_LIMIT = 160
_HEAD = struct.Struct("<4Q")  # what snapshot_write begins with

_GAP = 1 << 16
"""Bytes of zeros for which a new run is worth while: each is a mapping of its own, which costs a microsecond."""

_CANARY = "a variable of the process that the snapshot is taken of"
_SHORTEST = 8
"""Bytes that a value of this machine's must have, to be told from a word that is in the memory by chance."""


class SnapshotError(Exception):
    """The snapshot could not be taken, or must not be given away; the text says why."""


@dataclass(frozen=True)
class Memory:
    """A stretch of memory: where it was, and what was in it."""

    address: int
    content: bytes


def attach(executable: Path, emulator: Sequence[str], seed: int, work: Path) -> str:
    """Take the snapshot of an executable, put it at the end of the file and return its seal. Raises SnapshotError.

    `emulator`: what has to stand before a program of another processor. `work`: the build's folder, whose path must not
    be in the memory.
    """
    program = executable.read_bytes()
    data, heap = _take([*emulator, str(executable)], seed)
    look_through([data.content, heap.content], secrets(work, os.environ), program)
    seal = sha256(program + data.content + heap.content).digest()[:_SEAL_SIZE]
    executable.write_bytes(attached(program, data, heap, seal))
    return seal.hex()


def _take(command: Sequence[str], seed: int) -> tuple[Memory, Memory]:
    environment = {"TZ": "UTC0", "CANARY": _CANARY}
    try:
        done = subprocess.run(
            [*command, "--take-snapshot", str(seed)],
            cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIME_LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SnapshotError(f"the snapshot was not taken within {TIME_LIMIT} s") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise SnapshotError(f"the snapshot could not be taken (status {done.returncode}):\n{said}")
    data_start, data_length, heap_start, heap_length = _HEAD.unpack_from(done.stdout)
    content = done.stdout[_HEAD.size :]
    if len(content) != data_length + heap_length:
        raise SnapshotError(f"the snapshot has {len(content)} bytes, not {data_length + heap_length}")
    return Memory(data_start, content[:data_length]), Memory(heap_start, content[data_length:])


def secrets(work: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """List what this machine knows and the snapshot must not: what it is, and its text."""
    return {
        "the canary": _CANARY,
        "the working directory": str(Path.cwd()),
        "the build's folder": str(work),
        "the home directory": str(Path.home()),
        "this machine's name": platform.node(),
        "the user's name": getpass.getuser(),
        **{f"the variable {name}": value for name, value in environment.items()},
    }


def look_through(memory: Sequence[bytes], unwanted: Mapping[str, str], program: bytes) -> None:
    """Raise SnapshotError if the memory has a text that is not to be in it; what is in the program may be."""
    for what, text in unwanted.items():
        needle = os.fsencode(text)
        if len(needle) < _SHORTEST or needle in program:
            continue
        if any(needle in content for content in memory):
            raise SnapshotError(f"{what} is in the snapshot: {text!r}")


def attached(program: bytes, data: Memory, heap: Memory, seal: bytes) -> bytes:
    """Return the executable with the snapshot behind it, without the pages that are zero.

    The variables are read by the program, so any piece of them will do; the heap is mapped, in whole pages.
    """
    heap_runs = list(runs(heap))
    if len(heap_runs) >= _RUNS_LIMIT:
        raise SnapshotError(
            f"the snapshot is in {len(heap_runs)} pieces, more than the launcher has room for"
        )
    image_start = _round_up(len(program), PAGE)
    table_size = _IMAGE.size + _RUNS_LIMIT * _RUN.size
    offset = _round_up(image_start + table_size, PAGE)
    table, content = bytearray(), bytearray()
    for run in (data, *heap_runs):
        table += _RUN.pack(run.address, len(run.content), offset + len(content))
        content += run.content.ljust(_round_up(len(run.content), PAGE), b"\0")
    head = _IMAGE.pack(seal, data.address, len(data.content), len(heap.content), 1, len(heap_runs))
    file = bytearray(program.ljust(image_start, b"\0") + head + table)
    _fill_in_place(file, seal, image_start)
    return bytes(file.ljust(offset, b"\0") + content)


def runs(memory: Memory) -> Iterator[Memory]:
    """List the pieces that are not zero, in whole pages; zeros of less than `_GAP` between two belong to them."""
    size = len(memory.content)
    start = end = None
    for offset in range(0, size, PAGE):
        if memory.content.count(0, offset, offset + PAGE) == len(memory.content[offset : offset + PAGE]):
            continue
        if start is not None and end is not None and offset - end >= _GAP:
            yield Memory(memory.address + start, memory.content[start:end])
            start = None
        if start is None:
            start = offset
        end = min(offset + PAGE, size)
    if start is not None:
        yield Memory(memory.address + start, memory.content[start:end])


def _fill_in_place(file: bytearray, seal: bytes, image_start: int) -> None:
    """Tell the launcher, in its own file, where the image is."""
    if file.count(_PLACE) != 1:
        raise SnapshotError("the executable has no place, or several, for the snapshot")
    position = file.index(_PLACE) + len(_PLACE)
    file[position : position + _SEAL_SIZE] = seal
    struct.pack_into("<Q", file, position + _SEAL_SIZE, image_start)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
