"""Puts beside what was built what belongs to it: bills of materials, the provenance, the image's folder, checksums."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from aws_lambda_post_runner.dev.artefact import PRODUCT

from .artefacts import BOM_SUFFIX, CHECKSUMS, PROVENANCE, Release, checksums
from .bom import bill_of
from .provenance import statement_of

IMAGE_FOLDER = "image"
"""What the image is made of: a folder for each processor, by Docker's name."""
DOCKER_PROCESSORS = {"x86_64": "amd64", "arm64": "arm64"}


def prepare(release: Release, repository: str) -> Iterator[Path]:
    """Write each of these files, and give its path. Raises ReleaseError if a bill is not valid."""
    made = []
    for layer in release.layers:
        path = layer.path.with_name(layer.path.name + BOM_SUFFIX)
        path.write_text(bill_of(layer), encoding="utf-8")
        made.append(path)
    provenance = release.folder / PROVENANCE
    provenance.write_text(statement_of(release, repository), encoding="utf-8")
    made.append(provenance)
    yield from made
    sums = release.folder / CHECKSUMS
    sums.write_text(checksums([*release.built, *made]), encoding="utf-8")
    yield sums
    yield _lay_out_image(release)


def _lay_out_image(release: Release) -> Path:
    """Put each executable where the image's Dockerfile looks for it: below Docker's name for the processor."""
    folder = release.folder / IMAGE_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for path in release.executables:
        processor = path.name.rpartition("-")[2]
        target = folder / DOCKER_PROCESSORS[processor] / PRODUCT
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
        target.chmod(0o755)
        os.utime(target, (0, 0))  # the image's layer has the file's time in it
    return folder


def differences(one: Path, other: Path) -> list[str]:
    """Return in what two folders of the same release differ: files that only one has, or with other bytes."""
    names = {
        path.relative_to(folder) for folder in (one, other) for path in folder.rglob("*") if path.is_file()
    }
    found = [] if names else [f"neither {one} nor {other} has a file"]
    for name in sorted(names):
        missing = [str(folder) for folder in (one, other) if not (folder / name).is_file()]
        if missing:
            found.append(f"{name} is not in {missing[0]}")
        elif (one / name).read_bytes() != (other / name).read_bytes():
            found.append(f"{name} has other bytes in {other} than in {one}")
    return found
