"""Layers and executables that say of themselves what real ones say, in a few hundred bytes, to be read."""

import json
import struct
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.layer import snapshot
from aws_lambda_post_runner.layer.snapshot import Memory

COMMIT = "0123abc"
SEAL = bytes(range(1, 17))
MACHINES = {"x86_64": 62, "arm64": 183}
PRODUCT = "aws-lambda-post-runner"
PARTS = [
    {"name": "trio", "version": "0.35.0", "licence": "MIT OR Apache-2.0"},
    {"name": "CPython (Debian's libpython3.11)", "version": "3.11.2-6+deb12u9", "licence": "PSF-2.0"},
    {
        "name": "glibc start-up files (ziglang)",
        "version": "0.17.1",
        "licence": "LGPL-2.1-or-later, linking permitted",
    },
]


def executable(processor: str = "x86_64", commit: str = COMMIT, seal: bytes = SEAL) -> bytes:
    """Return an ELF header, and what of an executable of ours is looked at."""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, MACHINES[processor])
    head = head.ljust(64, b"\0")
    place = b"POSTRUNNERPLACE\0" + seal + bytes(8)  # no image: there is nothing to be whole of
    return head + place + f"\0layer {processor}, commit {commit}\0".encode()


def whole_executable() -> bytes:
    """Return an executable with a snapshot behind it, as a build attaches it, whose seal is right."""
    program = bytearray(executable(seal=bytes(16)).ljust(128, b"\0"))
    struct.pack_into(
        "<QQ", program, 32, len(program), len(program)
    )  # where the two tables of headers are: empty
    struct.pack_into("<2H", program, 54, 56, 0)  # the size of one of the program's, and how many there are
    content = b"heap".ljust(3 * snapshot.PAGES["amd64"], b"\1")
    data, heap = Memory(0, b""), Memory(snapshot.HEAP, content)
    seal = sha256(program + content).digest()[:16]
    return snapshot.attached(bytes(program), data, heap, seal, snapshot.PAGES["amd64"])


def manifest(processor: str = "x86_64", **others: object) -> str:
    """Return a layer's manifest, with some of its values replaced."""
    content = {
        "name": PRODUCT,
        "version": __version__,
        "commit": COMMIT,
        "layer": processor,
        "snapshot": SEAL.hex(),
        "parts": PARTS,
    }
    return json.dumps(content | others)


def layer(path: Path, files: Mapping[str, bytes | str] | None = None, *, processor: str = "x86_64") -> Path:
    """Write a layer's zip; `files` are added, or replace its own."""
    content: dict[str, bytes | str] = {
        PRODUCT: executable(processor),
        f"{PRODUCT}.d/manifest.json": manifest(processor),
        "entry.sh": "#!/bin/sh\n",
        "python/post_runner/__init__.py": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | dict(files or {})).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name in {PRODUCT, "entry.sh"} else 0o100644) << 16
            archive.writestr(entry, data)
    return path


def release_folder(folder: Path) -> Path:
    """Fill a folder with all that a release has."""
    folder.mkdir(exist_ok=True)
    for processor in MACHINES:
        bare = folder / f"{PRODUCT}-{__version__}-{processor}"
        bare.write_bytes(executable(processor))
        layer(bare.with_name(f"{bare.name}.zip"), processor=processor)
    (folder / f"aws_lambda_post_runner-{__version__}-py3-none-any.whl").write_bytes(b"a wheel")
    (folder / f"aws_lambda_post_runner-{__version__}.tar.gz").write_bytes(b"a source distribution")
    (folder / f"post-runner-{__version__}.tgz").write_bytes(b"a package for Node")
    return folder
