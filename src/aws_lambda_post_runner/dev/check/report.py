"""How `check` says what it has found: findings for people, the settings on demand, or all of it as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .findings import Finding, effective, findings
from .function_config import FunctionConfig


def print_findings(config: FunctionConfig, found: Sequence[Finding], console: Console) -> None:
    """Print what is wrong, one line each, with its place first, as compilers do."""
    for finding in found:
        mark, style = ("✗", "red") if finding.is_error else ("!", "yellow")
        place = f"{finding.place}: " if finding.place else ""
        line = Text.assemble((place, "bold"), (f"{mark} {config.name}: {finding.text}", style))
        console.print(line, soft_wrap=True)


def print_settings(config: FunctionConfig, console: Console) -> None:
    """Print each setting with its value and where it comes from."""
    table = Table(
        "setting", "value", "from", title=config.name, title_justify="left", box=None, pad_edge=False
    )
    for name, value in effective(config):
        text = "decided at deployment" if value.text is None else value.text or "-"
        table.add_row(
            Text(name), Text(text), Text(value.origin), style="dim" if value.origin == "default" else ""
        )
    console.print(table)
    console.print()


def as_json(configs: Sequence[FunctionConfig]) -> str:
    """Return all of it: for each function its findings and its settings."""
    return json.dumps([_as_object(config) for config in configs], indent=2)


def _as_object(config: FunctionConfig) -> dict[str, Any]:
    return {
        "function": config.name,
        "findings": [asdict(finding) for finding in findings(config)],
        "settings": {name: {"value": each.text, "from": each.origin} for name, each in effective(config)},
    }
