"""The command line for people: flags and environment → settings → `run`; and the commands of `dev`."""

import os
from typing import Annotated

import typer

from aws_lambda_post_runner import settings
from aws_lambda_post_runner.drop_in import run as run_handler
from aws_lambda_post_runner.settings import Variable

from . import commands

app = typer.Typer(
    name="aws-lambda-post-runner",
    help="Run work after an AWS Lambda function has answered, before Lambda freezes it.",
    epilog="Any other first word is taken for the handler's command: aws-lambda-post-runner HANDLER ARGS…",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _flag(variable: Variable[object], metavar: str) -> typer.models.OptionInfo:
    """The option that stands for a setting; it wins over the variable."""
    name = variable.name.lower().replace("_", "-")
    default = f" By default {variable.default}." if variable.default else ""
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}",
        metavar=metavar,
        help=f"{variable.meaning}{default} ({variable.full_name})",
        show_default=False,
    )
    return option


@app.command(context_settings={"allow_interspersed_args": False})
def run(  # noqa: PLR0913 - each setting is a parameter
    handler: Annotated[list[str], typer.Argument(help="The command that starts the handler, after `--`.")],
    *,
    command: Annotated[str | None, _flag(settings.COMMAND, "COMMAND")] = None,
    mode: Annotated[str | None, _flag(settings.MODE, "MODES")] = None,
    timeout: Annotated[str | None, _flag(settings.TIMEOUT, "DURATION")] = None,
    margin: Annotated[str | None, _flag(settings.MARGIN, "DURATION")] = None,
    grace: Annotated[str | None, _flag(settings.GRACE, "DURATION")] = None,
    shell: Annotated[str | None, _flag(settings.SHELL, "PATH")] = None,
    capture: Annotated[str | None, _flag(settings.CAPTURE, "WHAT")] = None,
    capture_limit: Annotated[str | None, _flag(settings.CAPTURE_LIMIT, "SIZE")] = None,
    next_wrapper: Annotated[str | None, _flag(settings.NEXT_WRAPPER, "PATH")] = None,
    log_level: Annotated[str | None, _flag(settings.LOG_LEVEL, "LEVEL")] = None,
    disabled: Annotated[str | None, _flag(settings.DISABLED, "REASON")] = None,
) -> None:
    """Run a handler and, after each of its answers, the post command.

    Every setting can be given here or in its environment variable; the flag wins. Everything from the handler's
    first word on is the handler's; `--` before it settles any doubt.
    """
    flags = {
        settings.COMMAND: command,
        settings.MODE: mode,
        settings.TIMEOUT: timeout,
        settings.MARGIN: margin,
        settings.GRACE: grace,
        settings.SHELL: shell,
        settings.CAPTURE: capture,
        settings.CAPTURE_LIMIT: capture_limit,
        settings.NEXT_WRAPPER: next_wrapper,
        settings.LOG_LEVEL: log_level,
        settings.DISABLED: disabled,
    }
    given = {variable.full_name: value for variable, value in flags.items() if value is not None}
    raise typer.Exit(run_handler(handler, {**os.environ, **given}))


for command in (commands.dev, commands.invoke, commands.check, commands.template):
    app.command()(command)
