"""`check`: its options, and what it exits with."""

import os
from pathlib import Path
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.check.findings import concerns_us
from aws_lambda_post_runner.dev.check.function_config import UnreadableError, from_environment, read_file
from aws_lambda_post_runner.dev.check.report import print_check

from .output import console


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="A SAM or CloudFormation template (.yaml, .yml, .json, .template), or else a .env file. "
            "Without it, the environment is checked.",
        ),
    ] = None,
) -> None:
    """Say which settings are effective, where each comes from, and what is wrong.

    Exits with 1 when anything would fail or be ignored.
    """
    try:
        configs = [from_environment(os.environ)] if file is None else read_file(file)
    except (OSError, UnreadableError) as problem:
        typer.echo(f"{file}: {problem}", err=True)
        raise typer.Exit(1) from None
    ours = [config for config in configs if concerns_us(config) or not config.deployed]
    if not ours:
        typer.echo(f"{file}: no function in it uses the post runner", err=True)
        raise typer.Exit(1)
    failed = [print_check(config, console()) for config in ours]
    raise typer.Exit(1 if any(failed) else 0)
