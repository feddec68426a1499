"""`check`: its options, and what it exits with."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.check.findings import concerns_us, findings
from aws_lambda_post_runner.dev.check.function_config import FunctionConfig, UnreadableError, from_environment
from aws_lambda_post_runner.dev.check.read import read_file
from aws_lambda_post_runner.dev.check.report import as_json, print_findings, print_settings

from .options import SWITCH
from .output import console


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A SAM or CloudFormation template, what `terraform show -json PLAN` prints, a Dockerfile, or else "
            "a .env file. Without it, the environment is checked.",
        ),
    ] = None,
    *,
    settings: Annotated[
        bool,
        typer.Option(
            "--settings", metavar=SWITCH, help="Say which settings are effective, and where each comes from."
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", metavar=SWITCH, help="Print findings and settings as JSON.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", metavar=SWITCH, help="Print only what would fail or be ignored, or nothing."),
    ] = False,
) -> None:
    """Say what is wrong with a function's settings, and on which line.

    Exits with 1 when anything would fail or be ignored.

    Example: aws-lambda-post-runner check template.yaml
    """
    configs = _read(file)
    found = [(config, findings(config)) for config in configs]
    if json:
        typer.echo(as_json(configs))
    else:
        for config, all_of_it in found:
            print_findings(config, [each for each in all_of_it if each.is_error or not quiet], console())
        if not quiet and not any(all_of_it for _, all_of_it in found):
            console().print("✓ nothing is wrong", style="green")
        for config in configs if settings else []:
            print_settings(config, console())
    raise typer.Exit(1 if any(finding.is_error for _, each in found for finding in each) else 0)


def _read(file: Path | None) -> Sequence[FunctionConfig]:
    """Return the functions that concern us. Raises Exit, with a line that says why, where there are none."""
    try:
        configs = [from_environment(os.environ)] if file is None else read_file(file)
    except (OSError, UnreadableError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        typer.echo(f"{file}: {why}", err=True)
        raise typer.Exit(1) from None
    ours = [config for config in configs if concerns_us(config) or not config.deployed]
    if not ours:
        typer.echo(f"{file}: no function in it uses the post runner", err=True)
        raise typer.Exit(1)
    return ours
