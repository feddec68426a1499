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

_MAGIC_SIZE = 4  # what compile.py puts before the modules

_PT_DYNAMIC, _DT_RPATH, _DT_RUNPATH = 2, 15, 29

_SOURCES = Path(__file__).parent


def write_tables(listing: str, compiled: Path, folder: Path) -> None:
    """Write into `folder` what launcher.c includes: all modules' code, the places in it, and the modules in C.

    `listing` and `compiled` are what `modules.needed` and `modules.compiled` returned.
    """
    modules = loads(compiled.read_bytes()[_MAGIC_SIZE:])  # noqa: S302 - we have just written it
    code, places = bytearray(), []
    for name, (is_package, body) in modules.items():
        places.append(f'MODULE("{name}", {len(code)}, {len(body)}, {int(is_package)})\n')
        code += body
    rows = [line.split("\t") for line in listing.splitlines()]
    built_in = sorted({name for name, origin, _ in rows if origin == "built-in"} - _LISTED)
    (folder / "modules.bin").write_bytes(code)
    (folder / "modules.inc").write_text("".join(places), encoding="utf-8")
    (folder / "builtins.inc").write_text("".join(f"BUILTIN({name})\n" for name in built_in), encoding="utf-8")


def link(architecture: str, tables: Path, debian: Path, target: Path) -> None:
    """Link to the file `target`; raises PartMissingError if there is no linker.

    `architecture`: Debian's name. `tables`: the folder of `write_tables`. `debian`: where CPython is unpacked.
    """
    machine = MACHINES[architecture]
    for source in ("launcher.c", "glibc.c"):
        shutil.copy(_SOURCES / source, tables)
    archive = (
        debian / "usr" / "lib" / "python3.11" / f"config-3.11-{machine}-linux-gnu" / "libpython3.11-pic.a"
    )
    include = debian / "usr" / "include"
    # fmt: off
    command = [
        sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.{GLIBC}",
        "-O2", "-pie", "-s", "--rtlib=none", "-Wl,--gc-sections",
        "-Wl,-rpath,/lib64",
        "-I.", f"-I{include}/python3.11", f"-I{include}",
        "launcher.c", "glibc.c", str(archive), "-lm", "-ldl", "-lpthread", "-lutil",
        "-o", str(target),
    ]
    # fmt: on
    done = subprocess.run(command, cwd=tables, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise PartMissingError(
            f"the executable for {architecture} could not be linked:\n{done.stderr.strip()}"
        )
    target.write_bytes(_with_rpath(target.read_bytes()))


def _with_rpath(executable: bytes) -> bytes:
    """Make DT_RUNPATH DT_RPATH: the loader follows that before LD_LIBRARY_PATH, which Lambda points at the runtime's.

    zig's linker writes only the former. See elf(5) for the places.
    """
    patched = bytearray(executable)
    (headers,) = struct.unpack_from("<Q", patched, 32)
    size, count = struct.unpack_from("<HH", patched, 54)
    for header in range(headers, headers + size * count, size):
        kind, _flags, start, _address, _physical, length = struct.unpack_from("<IIQQQQ", patched, header)
        if kind == _PT_DYNAMIC:
            for entry in range(start, start + length, 16):
                if struct.unpack_from("<Q", patched, entry) == (_DT_RUNPATH,):
                    struct.pack_into("<Q", patched, entry, _DT_RPATH)
    return bytes(patched)
