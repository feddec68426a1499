"""`template`: its options, and what it exits with."""

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.templates.alarms import with_alarms
from aws_lambda_post_runner.dev.templates.render import Architecture, Kind, render
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import COMMAND, VARIABLES, SettingsError
from aws_lambda_post_runner.settings import read as read_settings

from .options import read_duration

TEMPLATE_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"'
LONGEST_TIMEOUT_S = 900
"""What Lambda allows a function."""


def template(
    kind: Annotated[Kind, typer.Argument(help="What to write it for.")],
    *,
    architecture: Annotated[
        Architecture, typer.Option(help="The function's processor.")
    ] = Architecture.X86_64,
    function_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="The function's timeout, in whole seconds up to 15m.")
    ] = "30s",
    given: Mapping[str, str],
) -> None:
    """Print a minimal deployment of a function with the post runner.

    All AWS_LAMBDA_POST_RUNNER_ variables of the environment are filled in; options win over them. With METRICS=emf
    there are alarms on the metrics, and a dashboard.

    Example: aws-lambda-post-runner template sam --command ./flush.sh > template.yaml
    """
    timeout_s = read_duration(function_timeout, "--function-timeout")
    if timeout_s != int(timeout_s) or not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        message = f"{function_timeout!r} is not whole seconds from 1s to 15m, as Lambda has them"
        raise typer.BadParameter(message, param_hint="--function-timeout")
    names = [variable.full_name for variable in VARIABLES]
    settings = {COMMAND.full_name: TEMPLATE_COMMAND}
    settings |= {name: os.environ[name] for name in names if name in os.environ}
    settings |= given
    try:
        read_settings(settings | {ADDRESS_VARIABLE: "127.0.0.1:9001"})
    except SettingsError as problem:
        raise typer.BadParameter("; ".join(problem.lines), param_hint="settings") from None
    deployment = render(kind, architecture, int(timeout_s), settings)
    typer.echo(with_alarms(kind, deployment, int(timeout_s), settings), nl=False)
