"""`template`: its options, and what it exits with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.templates.alarms import with_alarms
from aws_lambda_post_runner.dev.templates.project import code_of, write_project
from aws_lambda_post_runner.dev.templates.render import (
    Architecture,
    Deployment,
    Kind,
    render,
    render_snippet,
)
from aws_lambda_post_runner.dev.templates.runtimes import FOLDER, NEWEST, RUNTIMES, Runtime
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import COMMAND, VARIABLES, SettingsError
from aws_lambda_post_runner.settings import read as read_settings

from .options import SWITCH, Values, read_duration

TEMPLATE_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"'
LONGEST_TIMEOUT_S = 900
"""What Lambda allows a function."""
RUNTIME_VALUES = Values("RUNTIME", tuple(RUNTIMES))


def template(  # noqa: PLR0913 - each option is a parameter
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="What to write it for.")],
    *,
    runtime: Annotated[
        str,
        typer.Option(
            metavar=RUNTIME_VALUES.metavar,
            autocompletion=RUNTIME_VALUES.complete,
            help=f"The function's runtime: {', '.join(RUNTIMES)}.",
        ),
    ] = NEWEST,
    architecture: Annotated[
        Architecture, typer.Option(help="The function's processor.")
    ] = Architecture.X86_64,
    function_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="The function's timeout, in whole seconds up to 15m.")
    ] = "30s",
    snippet: Annotated[
        bool,
        typer.Option(
            "--snippet", metavar=SWITCH, help="Print only what a function that is there already needs."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write it there, with the function's code and the command's file; nothing is overwritten.",
        ),
    ] = None,
    given: Mapping[str, str],
) -> None:
    """Print a minimal deployment of a function with the post runner, or write it into a folder.

    All AWS_LAMBDA_POST_RUNNER_ variables of the environment are filled in; options win over them. With METRICS=emf
    there are alarms on the metrics, and a dashboard.

    Example: aws-lambda-post-runner template sam --command ./flush.sh --out example

    Example: aws-lambda-post-runner template terraform --runtime nodejs24.x --snippet
    """
    if snippet and (out is not None or kind is Kind.RUNTIME):
        problem = (
            "a runtime's image is made whole" if kind is Kind.RUNTIME else "a snippet is printed, not written"
        )
        raise typer.BadParameter(problem, param_hint="--snippet")
    deployment = Deployment(
        architecture, _read_timeout(function_timeout), _settings(given), _read_runtime(runtime)
    )
    text = _rendered(kind, deployment)
    if snippet:
        typer.echo(render_snippet(kind, deployment), nl=False)
    elif out is not None:
        _write(kind, deployment, text, out)
    else:
        typer.echo(text, nl=False)
        _say_what_it_needs(kind, deployment)


def _rendered(kind: Kind, deployment: Deployment) -> str:
    timeout_s, settings = deployment.timeout_s, deployment.settings
    text = render(kind, deployment.architecture, timeout_s, settings, deployment.runtime)
    return with_alarms(kind, text, timeout_s, settings)


def _read_timeout(text: str) -> int:
    timeout_s = read_duration(text, "--function-timeout")
    if timeout_s != int(timeout_s) or not 1 <= timeout_s <= LONGEST_TIMEOUT_S:
        message = f"{text!r} is not whole seconds from 1s to 15m, as Lambda has them"
        raise typer.BadParameter(message, param_hint="--function-timeout")
    return int(timeout_s)


def _read_runtime(name: str) -> Runtime:
    if name not in RUNTIMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(RUNTIMES)}", param_hint="--runtime")
    return RUNTIMES[name]


def _settings(given: Mapping[str, str]) -> Mapping[str, str]:
    names = [variable.full_name for variable in VARIABLES]
    settings = {COMMAND.full_name: TEMPLATE_COMMAND}
    settings |= {name: os.environ[name] for name in names if name in os.environ}
    settings |= given
    try:
        read_settings(settings | {ADDRESS_VARIABLE: "127.0.0.1:9001"})
    except SettingsError as problem:
        raise typer.BadParameter("; ".join(problem.lines), param_hint="settings") from None
    return settings


def _write(kind: Kind, deployment: Deployment, text: str, folder: Path) -> None:
    try:
        files = write_project(kind, deployment, text, folder)
    except OSError as problem:
        message = str(problem) if problem.filename is None else f"{problem.filename}: {problem.strerror}"
        raise typer.BadParameter(message, param_hint="--out") from None
    for file in files:
        typer.echo(file)
    if code_of(kind, deployment) is not None and not deployment.runtime.files:
        typer.echo(f"put the built function into {folder / FOLDER}/", err=True)


def _say_what_it_needs(kind: Kind, deployment: Deployment) -> None:
    """Say it where the template alone would deploy a function that fails."""
    code = code_of(kind, deployment)
    if code is None:
        return
    built = [] if deployment.runtime.files else ["the built function"]
    what = " and ".join([*built, *code])
    rest = "all but the built function" if built else "them"
    typer.echo(f"it takes {what} from {FOLDER}/ beside it; --out FOLDER writes {rest}", err=True)
