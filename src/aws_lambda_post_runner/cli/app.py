"""The command line for people: flags and environment → settings → `run`; and the commands of `dev`."""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aws_lambda_post_runner.drop_in import run as run_handler

from .check import check
from .dev import dev
from .invoke import invoke
from .options import WithSettings
from .template import template
from .verify import verify


class Commands(TyperGroup):
    """Says what is wrong in a box on a terminal, and elsewhere in one line that a log can be searched for."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that the arguments name."""
        # Without arguments the help is what would be said, and that belongs on standard output.
        if sys.argv[1:] and not sys.stderr.isatty():
            self.rich_markup_mode = None
        return super().main(*args, **options)


app = typer.Typer(
    cls=Commands,
    name="aws-lambda-post-runner",
    help="Run work after an AWS Lambda function has answered, before Lambda freezes it.",
    epilog="Any other first word is taken for the handler's command: aws-lambda-post-runner HANDLER ARGS…",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def run(
    handler: Annotated[
        list[str],
        typer.Argument(metavar="HANDLER", help="The command that starts the handler, after `--`."),
    ],
    *,
    given: Mapping[str, str],
) -> None:
    """Run a handler and, after each of its answers, the post command.

    Every setting can be given here or in its environment variable; the option wins.

    Everything from the handler's first word on is the handler's; `--` before it settles any doubt.

    Example: aws-lambda-post-runner run --command ./flush.sh -- python -m awslambdaric app.handler
    """
    raise typer.Exit(run_handler(handler, {**os.environ, **given}))


app.command(context_settings={"allow_interspersed_args": False})(WithSettings(run))
app.command()(WithSettings(dev))
for command in (invoke, check):
    app.command()(command)
app.command()(WithSettings(template))
app.command()(verify)
