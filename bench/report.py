"""How the figures are said: a Markdown table for people, JSON for programs, and the machine by its kind."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are figures."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in (header, rule, *rows)
    )


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write the figures and the machine they belong to, if a path was given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1) + "\n")


def machine() -> str:
    """The machine's kind, without its name."""
    system = platform.freedesktop_os_release()
    name = f"{system['NAME'].split()[0]} {system.get('VERSION_ID', '')}"
    return f"{os.cpu_count()}-core {platform.machine()} {name} machine"


def milli(nanoseconds: float) -> str:
    """A duration in milliseconds."""
    return f"{nanoseconds / 1e6:,.2f}"


def micro(nanoseconds: float) -> str:
    """A duration in microseconds; from ten milliseconds on without a fraction."""
    microseconds = nanoseconds / 1000
    return f"{microseconds:,.0f}" if microseconds >= 10_000 else f"{microseconds:,.1f}"


def mebi(size: float) -> str:
    """A size in MiB."""
    return f"{size / 2**20:.1f}"
