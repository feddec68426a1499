"""Links the launcher, the frozen modules and CPython to one executable, for a processor that need not be this one's."""

import shutil
import struct
import subprocess
import sys
from marshal import loads
from pathlib import Path

from .parts import MACHINES, PartMissingError

GLIBC = "2.26"
"""Amazon Linux 2's; Amazon Linux 2023 has 2.34."""

# Modules in C that have no PyInit_ of their name in CPython; launcher.c lists them itself.
_LISTED = frozenset({"_contextvars", "_typing", "_warnings", "builtins", "marshal", "sys"})

_SOURCES_IN_C = ("launcher.c", "snapshot.c", "glibc.c")
_HEADERS = ("snapshot.h",)

# What snapshot.c stands before, wherever CPython calls it.
_WRAPPED = ("malloc", "calloc", "realloc", "free", "getauxval")

_PT_NULL, _PT_DYNAMIC, _PT_GNU_EH_FRAME = 0, 2, 0x6474E550
_DT_RPATH, _DT_RUNPATH = 15, 29

_SOURCES = Path(__file__).parent


def write_tables(compiled: Path, folder: Path) -> None:
    """Write into `folder` what launcher.c includes: all modules' code, the places in it, and the modules in C.

    `compiled` is what `modules.compiled` returned.
    """
    modules, in_c = loads(compiled.read_bytes())  # noqa: S302 - we have just written it
    code, places = bytearray(), []
    for name, (is_package, body) in modules.items():
        places.append(f'MODULE("{name}", {len(code)}, {len(body)}, {int(is_package)})\n')
        code += body
    (folder / "modules.bin").write_bytes(code)
    (folder / "modules.inc").write_text("".join(places), encoding="utf-8")
    built_in = "".join(f"BUILTIN({name})\n" for name in sorted(set(in_c) - _LISTED))
    (folder / "builtins.inc").write_text(built_in, encoding="utf-8")


def link(architecture: str, tables: Path, debian: Path, target: Path) -> None:
    """Link to the file `target`; raises PartMissingError if there is no linker.

    The executable is not position-independent: a snapshot is full of addresses, so they have to be the same each time.
    `architecture`: Debian's name. `tables`: the folder of `write_tables`. `debian`: where CPython is unpacked.
    """
    machine = MACHINES[architecture]
    for source in (*_SOURCES_IN_C, *_HEADERS):
        shutil.copy(_SOURCES / source, tables)
    archive = debian / "usr" / "lib" / "python3.11" / f"config-3.11-{machine}-linux-gnu" / "libpython3.11.a"
    include = debian / "usr" / "include"
    # fmt: off
    command = [
        sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.{GLIBC}",
        "-O2", "-no-pie", "-s", "--rtlib=none", "-Wl,--gc-sections",
        "-Wl,-rpath,/lib64", *(f"-Wl,--wrap={name}" for name in _WRAPPED),
        "-I.", f"-I{include}/python3.11", f"-I{include}",
        *_SOURCES_IN_C, str(archive), "-lm", "-lpthread",
        "-o", str(target),
    ]
    # fmt: on
    done = subprocess.run(command, cwd=tables, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise PartMissingError(
            f"the executable for {architecture} could not be linked:\n{done.stderr.strip()}"
        )
    target.write_bytes(_without_unwinding(_with_rpath(target.read_bytes())))


def _with_rpath(executable: bytes) -> bytes:
    """Make DT_RUNPATH DT_RPATH: the loader follows that before LD_LIBRARY_PATH, which Lambda points at the runtime's.

    zig's linker writes only the former. See elf(5) for the places.
    """
    patched = bytearray(executable)
    for header in _headers(executable, at=32):
        kind, _flags, start, _address, _physical, length = struct.unpack_from("<IIQQQQ", patched, header)
        if kind == _PT_DYNAMIC:
            for entry in range(start, start + length, 16):
                if struct.unpack_from("<Q", patched, entry) == (_DT_RUNPATH,):
                    struct.pack_into("<Q", patched, entry, _DT_RPATH)
    return bytes(patched)


def _without_unwinding(executable: bytes) -> bytes:
    """Make zero what tells a debugger, or C++, how to unwind the stack: nothing here does, and zipped it is 0.2 MB."""
    patched = bytearray(executable)
    for header in _headers(executable, at=32):
        if struct.unpack_from("<I", patched, header) == (_PT_GNU_EH_FRAME,):
            struct.pack_into("<I", patched, header, _PT_NULL)
    sections = [struct.unpack_from("<IIQQQQ", executable, header) for header in _headers(executable, at=40)]
    (names_index,) = struct.unpack_from("<H", executable, 62)
    names = sections[names_index][4]
    for name, _kind, _flags, _address, start, length in sections:
        if executable.startswith(b".eh_frame", names + name):
            patched[start : start + length] = bytes(length)
    return bytes(patched)


def _headers(executable: bytes, *, at: int) -> range:
    """Where the headers are that the ELF file has: of its segments `at` 32, of its sections at 40."""
    (first,) = struct.unpack_from("<Q", executable, at)
    size, count = struct.unpack_from("<HH", executable, {32: 54, 40: 58}[at])
    return range(first, first + size * count, size)
