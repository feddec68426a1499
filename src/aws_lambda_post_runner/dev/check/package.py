"""Whether a file is in what is deployed, as far as that can be seen from here."""

import fnmatch
import os
import shlex
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from .function_config import Code

TASK_ROOT = "/var/task/"
"""Where Lambda unpacks a function's code; commands are started there."""


class Found(Enum):
    """What can be said of a file."""

    YES = "yes"
    NOT_EXECUTABLE = "not executable"
    NO = "no"
    UNKNOWN = "unknown"


def file_of(command: str) -> str | None:
    """Return the file of the package that a command starts with, relative to it; None if it starts with none."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    program = next((word for word in words if "=" not in word), "")
    name = program.removeprefix(TASK_ROOT).removeprefix("./")
    return name if "/" in program and not name.startswith(("/", "$", "~")) else None


def look_for(name: str, code: Code) -> Found:
    """Look for a file in a function's code."""
    if code.inline:
        return Found.NO
    if code.path is None:
        return Found.UNKNOWN
    if code.copied:
        return _look_for_copied(name, code.path, code.copied)
    if code.path.is_dir():
        return _look_at(code.path / name)
    return _look_in_zip(name, code.path)


def _look_at(file: Path) -> Found:
    if not file.is_file():
        return Found.NO
    return Found.YES if os.access(file, os.X_OK) else Found.NOT_EXECUTABLE


def _look_in_zip(name: str, path: Path) -> Found:
    if not zipfile.is_zipfile(path):
        return Found.UNKNOWN
    with zipfile.ZipFile(path) as archive:
        if name not in archive.namelist():
            return Found.NO
        mode = archive.getinfo(name).external_attr >> 16
    return Found.YES if mode & 0o111 else Found.NOT_EXECUTABLE


def _look_for_copied(name: str, folder: Path, copied: Sequence[str]) -> Found:
    base = Path(name).name
    for place in (folder / source for source in copied):
        if fnmatch.fnmatch(base, place.name) and (place.parent / base).is_file():
            return _look_at(place.parent / base)
        if (place / name).is_file():
            return _look_at(place / name)
    return Found.NO
