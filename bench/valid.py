"""What the scripts' options may be: each function reads one, or says what is wrong with it.

All is refused before anything is measured. A run takes minutes, and one that has measured something else than what it
was asked for does not show it.
"""

import shlex
import shutil
from argparse import ArgumentTypeError
from pathlib import Path

PACKAGE = "aws_lambda_post_runner"


def program(text: str) -> str:
    """A program's path, or its name in PATH."""
    if shutil.which(text) is None:
        raise ArgumentTypeError(f"{text!r} is no program that can be run")
    return text


def command(text: str) -> str:
    """A command line, quoted as for a shell, whose program is there."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no command: {error}") from None
    if not words:
        raise ArgumentTypeError(f"{text!r} is no command: it is empty")
    program(words[0])
    return text


def named_command(text: str) -> tuple[str, tuple[str, ...]]:
    """NAME=COMMAND."""
    name, _, line = text.partition("=")
    if not name or not line:
        raise ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return name, tuple(shlex.split(command(line)))


def count(text: str) -> int:
    """How often something is done."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not 1 or more")
    return int(text)


def file(text: str) -> Path:
    """A file for figures; its folder is made."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise ArgumentTypeError(f"{text!r} cannot be written: {error.strerror}") from None
    return path


def source(text: str) -> Path:
    """A folder that has our package. Without it Python would take the one that is installed."""
    folder = Path(text).resolve()
    if not (folder / PACKAGE / "__init__.py").is_file():
        raise ArgumentTypeError(f"{text} has no {PACKAGE} in it; a clone has it in src")
    return folder
