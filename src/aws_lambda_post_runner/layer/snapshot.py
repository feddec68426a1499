"""Takes the snapshot of an executable's memory, looks it through, and attaches it: see snapshot.h for what it is.

It must not know what is in the memory, but for what must never be in it.
"""

import getpass
import os
import platform
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PAGES = {"amd64": 1 << 12, "arm64": 1 << 16}
"""The largest pages that a kernel has, by Debian's name of the processor: what is mapped begins on such a border."""

TIME_LIMIT = 120
"""Seconds that taking it may last: here it takes one, under an emulator ten."""

_PLACE, _SEAL_SIZE = b"POSTRUNNERPLACE\0", 16  # struct place of snapshot.c
_IMAGE = struct.Struct(f"<{_SEAL_SIZE}s6Q")  # struct image, without its runs
_RUN = struct.Struct("<3Q")
_RUNS_LIMIT = 160
_CHANGE = struct.Struct("<2I")
_WORD = 8
HEAP, _HEAP_LIMIT = 0x1000000000, 256 << 20  # snapshot.c's
_HEAD = struct.Struct("<5Q")  # what snapshot_write begins with
_LOADED = 1  # PT_LOAD: a segment of the program that is brought to memory

_FAULTS_SHOWN = 20
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


@dataclass(frozen=True, order=True)
class Mapping:
    """Something that was mapped while the snapshot was taken: from where to where, and its name."""

    start: int
    end: int
    name: str


@dataclass(frozen=True)
class Snapshot:
    """The program's variables, its heap, and what was mapped beside them and will not be there at a start."""

    data: Memory
    heap: Memory
    foreign: tuple[Mapping, ...]


def attach(executable: Path, architecture: str, emulator: Sequence[str], seed: int, work: Path) -> str:
    """Take the snapshot of an executable, put it at the end of the file and return its seal. Raises SnapshotError.

    `architecture`: Debian's name. `emulator`: what has to stand before a program of another processor. `work`: the
    build's folder, whose path must not be in the memory.

    It is taken twice, the second time in other surroundings and with all but program and heap mapped elsewhere: what is
    the same in both is of neither.
    """
    program = executable.read_bytes()
    deeper = ["-s", "24M"] if emulator else []  # qemu maps libraries behind a stack, by default of 8 MiB
    first = _take([*emulator, str(executable)], seed, program, Path("/"), {"TZ": "UTC0"})
    again = _take(
        [*emulator, *deeper, str(executable)],
        seed,
        program,
        work,
        {"TZ": "Asia/Kathmandu", "CANARY": _CANARY},
    )
    for before, after in ((first.data, again.data), (first.heap, again.heap)):
        compare(before, after, first.foreign, again.foreign)
    look_through([first.data.content, first.heap.content], secrets(work, dict(os.environ)), program)
    seal = sha256(program + first.data.content + first.heap.content).digest()[:_SEAL_SIZE]
    executable.write_bytes(attached(program, first.data, first.heap, seal, PAGES[architecture]))
    return seal.hex()


def _take(
    command: Sequence[str], seed: int, program: bytes, folder: Path, environment: dict[str, str]
) -> Snapshot:
    try:
        done = subprocess.run(
            [*command, "--take-snapshot", str(seed)],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=TIME_LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SnapshotError(f"the snapshot was not taken within {TIME_LIMIT} s") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise SnapshotError(f"the snapshot could not be taken (status {done.returncode}):\n{said}")
    return parsed(done.stdout, program)


def parsed(written: bytes, program: bytes) -> Snapshot:
    """Read what `snapshot_write` wrote. Raises SnapshotError if it is not whole."""
    data_start, data_length, heap_start, heap_length, mappings_length = _HEAD.unpack_from(written)
    content = written[_HEAD.size :]
    if mappings_length == 0 or len(content) != data_length + heap_length + mappings_length:
        raise SnapshotError("the snapshot, or the list of what was mapped, was not written whole")
    data = Memory(data_start, content[:data_length])
    heap = Memory(heap_start, content[data_length : data_length + heap_length])
    segments = list(_loaded_segments(program))
    own = [
        (min(start for _, start, _, _ in segments), max(start + size for _, start, size, _ in segments)),
        (heap_start, heap_start + heap_length),
    ]
    mappings = map(_mapping, content[data_length + heap_length :].decode().splitlines())
    foreign = [
        each for each in mappings if not any(each.start < end and start < each.end for start, end in own)
    ]
    return Snapshot(data, heap, tuple(sorted(foreign)))


def _mapping(line: str) -> Mapping:
    """A line of /proc/self/maps."""
    addresses, _permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
    start, _, end = addresses.partition("-")
    return Mapping(int(start, 16), int(end, 16), name[0] if name else "what is allocated")


def compare(before: Memory, after: Memory, then: Sequence[Mapping], now: Sequence[Mapping]) -> None:
    """Raise SnapshotError if two snapshots differ, or have a word that points to what will not be there at a start.

    `then`, `now`: what was mapped beside either. Bytecode can look like an address; it does not move when what is there
    does.
    """
    if len(before.content) != len(after.content):
        raise SnapshotError("two snapshots are not of the same length")
    unmoved = [each for each in then if each in now]
    faults = []
    for place, old, new in _words(before, after):
        if old != new:
            faults.append(
                f"the word at {place:#x} is {_named(old, then)} in one snapshot, {_named(new, now)} in another"
            )
        elif any(each.start <= old < each.end for each in unmoved):
            faults.append(f"the word at {place:#x} is {_named(old, then)}")
    if faults:
        raise SnapshotError(
            "\n".join([*faults[:_FAULTS_SHOWN], f"{len(faults)} words are not to be in a snapshot"])
        )


def _words(before: Memory, after: Memory) -> Iterator[tuple[int, int, int]]:
    """Go through two stretches of memory word by word: where it is, and what it is in either; what is 0 is left out."""
    size = len(before.content) // _WORD * _WORD
    words = zip(
        memoryview(before.content)[:size].cast("Q"), memoryview(after.content)[:size].cast("Q"), strict=True
    )
    return (
        (before.address + number * _WORD, old, new) for number, (old, new) in enumerate(words) if old or new
    )


def _named(word: int, mappings: Sequence[Mapping]) -> str:
    """What a word is, with what it points to."""
    names = [f" (in {each.name})" for each in mappings if each.start <= word < each.end]
    return f"{word:#x}{''.join(names)}"


def secrets(work: Path, environment: dict[str, str]) -> dict[str, str]:
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


def look_through(memory: Sequence[bytes], unwanted: dict[str, str], program: bytes) -> None:
    """Raise SnapshotError if the memory has a text that is not to be in it; what is in the program may be."""
    for what, text in unwanted.items():
        needle = os.fsencode(text)
        if len(needle) < _SHORTEST or needle in program:
            continue
        if any(needle in content for content in memory):
            raise SnapshotError(f"{what} is in the snapshot: {text!r}")


def attached(program: bytes, data: Memory, heap: Memory, seal: bytes, page: int) -> bytes:
    """Return the executable with the snapshot behind it.

    Of the variables it has what has changed since the program was loaded, of the heap the pages that are not zero, for
    `snapshot_restore` to write the former over what is there and to map the latter.
    """
    pieces = list(runs(heap, page))
    if len(pieces) > _RUNS_LIMIT:
        raise SnapshotError(f"the heap is in {len(pieces)} pieces, more than the launcher has room for")
    changed = b"".join(
        _CHANGE.pack(change.address - data.address, len(change.content)) + change.content
        for change in changes(loaded(program, data), data)
    )
    image_start = _round_up(len(program), page)
    changes_start = _round_up(image_start + _IMAGE.size + _RUNS_LIMIT * _RUN.size, page)
    offset = _round_up(changes_start + len(changed), page)
    table, content = bytearray(), bytearray()
    for run in pieces:
        table += _RUN.pack(run.address, len(run.content), offset + len(content))
        content += run.content.ljust(_round_up(len(run.content), page), b"\0")
    sizes = (len(data.content), len(heap.content), changes_start, len(changed), len(pieces))
    file = bytearray(program.ljust(image_start, b"\0") + _IMAGE.pack(seal, data.address, *sizes) + table)
    _fill_in_place(file, seal, image_start)
    return bytes(file.ljust(changes_start, b"\0") + changed.ljust(offset - changes_start, b"\0") + content)


def is_whole(file: bytes) -> bool:
    """Tell whether an executable has all of the snapshot that its seal names, and nothing behind it.

    It is made again of what `attached` has laid out. One that no snapshot was attached to has nothing to lack.
    """
    place = file.find(_PLACE) + len(_PLACE)
    try:
        (image_start,) = struct.unpack_from("<Q", file, place + _SEAL_SIZE)
        return image_start == 0 or _sealed(file, place, image_start) == file[place : place + _SEAL_SIZE]
    except (struct.error, ValueError):  # it ends before that, or is no program
        return False


def _sealed(file: bytes, place: int, image_start: int) -> bytes:
    """Return the seal of what an executable has; none if that cannot be a snapshot."""
    _, data_start, data_length, heap_length, changes_start, changes_length, count = _IMAGE.unpack_from(
        file, image_start
    )
    if max(data_length, heap_length) > _HEAP_LIMIT or not 0 < count <= _RUNS_LIMIT:
        return b""
    (headers,) = struct.unpack_from("<Q", file, 40)  # of sections: they end the program
    size, sections = struct.unpack_from("<HH", file, 58)
    program = bytearray(file[: headers + size * sections])
    program[place : place + _SEAL_SIZE + 8] = bytes(_SEAL_SIZE + 8)
    data = bytearray(loaded(bytes(program), Memory(data_start, bytes(data_length))).content)
    position = changes_start
    while position < changes_start + changes_length:
        offset, length = _CHANGE.unpack_from(file, position)
        position += _CHANGE.size
        data[offset : offset + length] = file[position : position + length]
        position += length
    heap, end = bytearray(heap_length), 0
    for number in range(count):
        address, length, offset = _RUN.unpack_from(file, image_start + _IMAGE.size + number * _RUN.size)
        heap[address - HEAP : address - HEAP + length] = file[offset : offset + length]
        end = offset + length
    is_all = any(len(file) == _round_up(end, page) for page in PAGES.values())
    return sha256(program + data + heap).digest()[:_SEAL_SIZE] if is_all else b""


def loaded(program: bytes, where: Memory) -> Memory:
    """Return what is at a stretch of memory when the program has been loaded."""
    content = bytearray(len(where.content))
    for offset, address, _, length in _loaded_segments(program):
        start, end = max(address, where.address), min(address + length, where.address + len(content))
        if start < end:
            piece = program[offset + start - address : offset + end - address]
            content[start - where.address : end - where.address] = piece
    return Memory(where.address, bytes(content))


def _loaded_segments(program: bytes) -> Iterator[tuple[int, int, int, int]]:
    """List what is brought to memory of an ELF file, see elf(5): place in the file, address, size there, size in it."""
    (headers,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for header in range(headers, headers + size * count, size):
        kind, _, offset, address, _, length, room = struct.unpack_from("<IIQQQQQ", program, header)
        if kind == _LOADED:
            yield offset, address, room, length


def changes(before: Memory, after: Memory) -> Iterator[Memory]:
    """List the stretches, in whole words, that are not what they were."""
    start = end = after.address
    for place in (place for place, old, new in _words(before, after) if old != new):
        if place != end:
            yield from _part(after, start, end)
            start = place
        end = place + _WORD
    yield from _part(after, start, end)


def _part(memory: Memory, start: int, end: int) -> Iterator[Memory]:
    if start < end:
        yield Memory(start, memory.content[start - memory.address : end - memory.address])


def runs(memory: Memory, page: int) -> Iterator[Memory]:
    """List the stretches of pages that are not zero, the last of them not filled up."""
    size = len(memory.content)
    start = None
    for offset in range(0, size, page):
        if memory.content.count(0, offset, offset + page) < min(page, size - offset):
            start = offset if start is None else start
        elif start is not None:
            yield Memory(memory.address + start, memory.content[start:offset])
            start = None
    if start is not None:
        yield Memory(memory.address + start, memory.content[start:])


def _fill_in_place(file: bytearray, seal: bytes, image_start: int) -> None:
    """Tell the launcher, in its own file, where the image is."""
    if file.count(_PLACE) != 1:
        raise SnapshotError("the executable has no place, or several, for the snapshot")
    position = file.index(_PLACE) + len(_PLACE)
    file[position : position + _SEAL_SIZE] = seal
    struct.pack_into("<Q", file, position + _SEAL_SIZE, image_start)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
