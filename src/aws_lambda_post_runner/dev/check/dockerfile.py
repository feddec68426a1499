"""The function that an image runs, as its Dockerfile has it: ENV, COPY, ENTRYPOINT and CMD of the last stage. Pure."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from .function_config import Code, FunctionConfig, UnreadableError, Value


def read_dockerfile(text: str, path: Path) -> FunctionConfig:
    """Return the function. Raises UnreadableError where a line cannot be taken apart."""
    variables: dict[str, Value] = {}
    copied: list[str] = []
    entry: dict[str, list[str]] = {}
    first_line = None
    for number, instruction, rest in _instructions(text):
        try:
            match instruction:
                case "FROM":
                    variables, copied, entry, first_line = {}, [], {}, number
                case "ENV":
                    variables |= {
                        name: Value(value, f"{path.name} line {number}", number)
                        for name, value in _pairs(rest)
                    }
                case "COPY" | "ADD":
                    words = [word for word in shlex.split(rest) if not word.startswith("--")]
                    copied += words[:-1]
                case "ENTRYPOINT" | "CMD":
                    entry[instruction] = _words(rest)
        except ValueError as problem:
            raise UnreadableError(f"{path.name} line {number}: {problem}") from None
    return FunctionConfig(
        name=path.name,
        variables=variables,
        deployed=True,
        code=Code(path.parent, tuple(copied)),
        entry=(*entry.get("ENTRYPOINT", []), *entry.get("CMD", [])),
        file=str(path),
        line=first_line,
    )


def _instructions(text: str) -> Iterable[tuple[int, str, str]]:
    """Yield the line, the name and the rest of each, with the lines joined that a backslash continues."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            continue
        begun = begun or number
        whole += line.rstrip().removesuffix("\\") + " "
        if line.rstrip().endswith("\\"):
            continue
        name, _, rest = whole.strip().partition(" ")
        if name:
            yield begun, name.upper(), rest.strip()
        begun, whole = 0, ""


def _pairs(rest: str) -> Iterable[tuple[str, str]]:
    """Return what ENV sets: NAME=VALUE …, or in the old form NAME VALUE."""
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        return [(words[0], " ".join(words[1:]))]
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _words(rest: str) -> list[str]:
    return [str(word) for word in json.loads(rest)] if rest.startswith("[") else shlex.split(rest)
