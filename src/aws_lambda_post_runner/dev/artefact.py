"""What a layer's zip or a bare executable says of itself: read, never run.

A file can say what it likes. That it is the one that was published is known from a checksum that came another way.
"""

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from aws_lambda_post_runner.layer.snapshot import is_whole

PRODUCT = "aws-lambda-post-runner"
MANIFEST = f"{PRODUCT}.d/manifest.json"

_ELF = b"\x7fELF"
_MACHINE = slice(18, 20)
_PROCESSORS = {62: "x86_64", 183: "arm64"}
"""The numbers of ELF, and Lambda's names."""
_SEAL_MARK, _SEAL_SIZE = b"POSTRUNNERPLACE\0", 16
"""Behind this mark the executable has the seal of its snapshot: see `layer/snapshot.py`."""
_BUILD = re.compile(rb"layer (x86_64|arm64), commit ([0-9a-f]{7,40}(?:-dirty)?|unknown)")
"""What a build writes into its module `build`."""
_OWN_NAME = re.compile(rf"{PRODUCT}-(.+)-(?:x86_64|arm64)(?:\.zip)?")

_STARTED = (PRODUCT, "entry.sh")
"""The files that Lambda has to be able to start."""
_FOLDERS = (
    f"{PRODUCT}.d/",
    "python/post_runner/",
    "nodejs/node_modules/post-runner/",
    "META-INF/",  # where AWS Signer puts its signature
)
_LARGEST = 250 << 20
"""Bytes that a layer may have unpacked: Lambda takes no more, and we need not find out what a zip bomb holds."""


class NotOursError(Exception):
    """A file that is no layer and no executable of ours; the text says what it lacks."""


@dataclass(frozen=True)
class Part:
    """Something of other people's that is in it."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Content:
    """A file of a zip."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Artefact:
    """A layer or an executable: what it is, and what speaks against it."""

    kind: str
    """`layer` or `executable`."""
    sha256: str
    size: int
    version: str
    """Of an executable, what the file's name says; empty if it says nothing."""
    commit: str
    processor: str
    snapshot: str
    """The seal of the snapshot that it starts from, in hexadecimal; empty if there is none."""
    signed: bool = False
    """It has a signature of AWS Signer, which Lambda checks, not we."""
    parts: tuple[Part, ...] = ()
    contents: tuple[Content, ...] = ()
    problems: tuple[str, ...] = field(default=())


def read_artefact(path: Path) -> Artefact:
    """Read what a file is. Raises NotOursError, or OSError where it cannot be read."""
    content = path.read_bytes()
    if content.startswith(_ELF):
        return _read_executable(content, path.name)
    if zipfile.is_zipfile(path):
        try:
            return _read_layer(content, path)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as problem:
            raise NotOursError(f"it is a zip that cannot be read: {problem}") from None
    raise NotOursError("it is neither a zip nor an executable of Linux")


def read_checksums(text: str) -> dict[str, str]:
    """Read what `sha256sum` writes: the files' names by their checksums. Raises ValueError for a line that is none."""
    names = {}
    for line in filter(None, text.splitlines()):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None:
            raise ValueError(f"{line!r} is not a checksum, two spaces and a name")
        names[match[1]] = match[2]
    return names


def _read_executable(content: bytes, name: str) -> Artefact:
    build = _BUILD.search(content)
    if build is None:
        raise NotOursError("it is an executable, but nothing in it says that we built it")
    processor = _PROCESSORS.get(int.from_bytes(content[_MACHINE], "little"), "")
    named = build[1].decode()
    problems = []
    if named != processor:
        problems.append(f"it says that it is for {named}, but its code is for {processor or 'another one'}")
    if not is_whole(content):
        problems.append("its snapshot is not whole: it was cut short, or changed")
    own_name = _OWN_NAME.fullmatch(name)
    return Artefact(
        kind="executable",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version=own_name[1] if own_name else "",
        commit=build[2].decode(),
        processor=named,
        snapshot=_seal(content),
        problems=tuple(problems),
    )


def _seal(content: bytes) -> str:
    """Return the seal that stands behind its mark; empty where no snapshot was attached."""
    start = content.find(_SEAL_MARK) + len(_SEAL_MARK)
    seal = content[start : start + _SEAL_SIZE]
    return seal.hex() if start >= len(_SEAL_MARK) and any(seal) else ""


def _read_layer(content: bytes, path: Path) -> Artefact:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
        if MANIFEST not in entries or PRODUCT not in entries:
            raise NotOursError(f"it is a zip, but has no {MANIFEST if PRODUCT in entries else PRODUCT}")
        if sum(entry.file_size for entry in entries.values()) > _LARGEST:
            raise NotOursError(f"it is a zip, but has more than the {_LARGEST >> 20} MB that Lambda takes")
        names = Counter(archive.namelist())
        files = {name: archive.read(name) for name in entries}
    manifest = _read_manifest(files[MANIFEST])
    executable = _read_executable(files[PRODUCT], PRODUCT)
    modes = {name: entry.external_attr >> 16 for name, entry in entries.items()}
    return Artefact(
        kind="layer",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        version=manifest["version"],
        commit=manifest["commit"],
        processor=manifest["layer"],
        snapshot=manifest["snapshot"],
        signed=any(name.startswith("META-INF/aws_signer") for name in files),
        parts=manifest["parts"],
        contents=tuple(
            Content(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())
        ),
        problems=(
            *executable.problems,
            *_differences(manifest, executable),
            *(f"{name} is not ours" for name in sorted(files) if not _has_a_place(name)),
            *(f"{name} is in it more than once" for name, times in sorted(names.items()) if times > 1),
            *(f"{name} is a link" for name, mode in sorted(modes.items()) if stat.S_ISLNK(mode)),
            *(f"{name} cannot be executed" for name in _STARTED if not modes.get(name, 0) & 0o111),
        ),
    )


def _has_a_place(name: str) -> bool:
    return name in _STARTED or (name.startswith(_FOLDERS) and ".." not in name.split("/"))


def _read_manifest(text: bytes) -> Mapping[str, Any]:
    try:
        manifest = json.loads(text)
        known = {key: manifest[key] for key in ("name", "version", "commit", "layer", "snapshot")}
        parts = tuple(Part(each["name"], each["version"], each["licence"]) for each in manifest["parts"])
    except (ValueError, KeyError, TypeError) as problem:
        raise NotOursError(f"its {MANIFEST} cannot be read: {problem}") from None
    if known["name"] != PRODUCT:
        raise NotOursError(f"its {MANIFEST} is that of {known['name']!r}")
    texts = [*known.values(), *(text for part in parts for text in astuple(part))]
    if other := [each for each in texts if not isinstance(each, str)]:
        raise NotOursError(f"its {MANIFEST} cannot be read: {other[0]!r} is no text")
    return {**known, "parts": parts}


def _differences(manifest: Mapping[str, Any], executable: Artefact) -> Sequence[str]:
    """Return in what the executable is another one than the manifest says."""
    compared = {
        "commit": (executable.commit, manifest["commit"]),
        "processor": (executable.processor, manifest["layer"]),
        "snapshot": (executable.snapshot, manifest["snapshot"]),
    }
    return [
        f"the {what} of its executable is {found or 'missing'}, but the manifest says {said}"
        for what, (found, said) in compared.items()
        if found != said
    ]
