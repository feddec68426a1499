"""How `check` prints what it has found."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .findings import effective, findings
from .function_config import FunctionConfig


def print_check(config: FunctionConfig, console: Console) -> bool:
    """Print what is effective and what is wrong; return whether there is an error."""
    table = Table(
        "setting", "value", "from", title=config.name, title_justify="left", box=None, pad_edge=False
    )
    for name, value in effective(config):
        text = "decided at deployment" if value.text is None else value.text or "-"
        table.add_row(
            Text(name), Text(text), Text(value.origin), style="dim" if value.origin == "default" else ""
        )
    console.print(table)
    found = findings(config)
    for finding in found:
        mark, style = ("✗", "red") if finding.is_error else ("!", "yellow")
        console.print(Text(f"{mark} {finding.text}", style), soft_wrap=True)
    if not found:
        console.print(Text("✓ nothing is wrong", "green"))
    console.print()
    return any(finding.is_error for finding in found)
