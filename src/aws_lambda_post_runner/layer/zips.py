"""Writes a layer's zip: the same bytes for the same content, and a manifest of what is inside.

It must not know how anything in the zip was made.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from .parts import Part

PRIVATE = "aws-lambda-post-runner.d"
"""The folder for all that is not to be seen: under /opt no runtime looks for modules in it."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_EXECUTABLE, _PLAIN = 0o100755, 0o100644


@dataclass(frozen=True)
class Build:
    """What is built, from what."""

    layer: str
    version: str
    commit: str

    @property
    def hash_seed(self) -> int:
        """The seed of Python's hashes: the same commit has the same sets in the same order."""
        return int.from_bytes(sha256(self.commit.encode()).digest()[:4], "big")


def describe(build: Build, parts: Sequence[Part], snapshot: str, out: Path) -> None:
    """Write manifest.json and the licences' texts into the layer's folder `out`; `snapshot`: its seal."""
    licences = out / PRIVATE / "licences"
    licences.mkdir(parents=True)
    entries = []
    for part in parts:
        names = []
        for text in part.licence_texts:
            name = f"{part.name.split(' ')[0]}-{text.name.removesuffix('.txt')}.txt"
            (licences / name).write_bytes(text.read_bytes())
            names.append(name)
        entries.append({"name": part.name, "version": part.version, "licence": part.licence, "texts": names})
    manifest = {
        "name": "aws-lambda-post-runner",
        "version": build.version,
        "commit": build.commit,
        "layer": build.layer,
        "licence": "MIT-0",
        "snapshot": snapshot,
        "hash_seed": build.hash_seed,
        "parts": entries,
    }
    lines = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (out / PRIVATE / "manifest.json").write_text(lines, encoding="utf-8")


def write(folder: Path, target: Path) -> None:
    """Write all files under `folder` to the zip `target`, sorted, without their times, executable as they are."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.create_system = 3  # Unix: else the mode below is not looked at
            entry.external_attr = (_EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
