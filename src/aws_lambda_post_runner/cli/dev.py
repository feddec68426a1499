"""`dev`: its options, and what it exits with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from aws_lambda_post_runner.dev.check.function_config import UnreadableError
from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.local_function import LocalFunction, NoFunctionError, Wanted, find_function
from aws_lambda_post_runner.dev.show import Plan, show_function
from aws_lambda_post_runner.dev.view.display import Displays, JsonDisplay, TimelineDisplay
from aws_lambda_post_runner.dev.view.timeline import Timeline

from .options import HIGHEST_PORT, SWITCH, check_given, read_duration, read_event
from .output import console, nowhere, run_for_a_reader

DEMO_PLAN = Plan(event=b'{"name": "Ada"}', invocations=3, pause_s=1.0)
EMULATORS_TIMEOUT = "300s"
"""What the runtime interface emulator gives a function that does not say."""


def dev(  # noqa: PLR0913 - each option is a parameter
    handler: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="HANDLER",
            help="What starts the handler, after `--`; or app.handler, as Lambda has it, for Python and Node; or a "
            "function of --template; or `demo` for the handler that ships.",
            show_default=False,
        ),
    ] = None,
    *,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take settings, handler, runtime, timeout and event sources from a SAM or CloudFormation template.",
        ),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take variables from a .env file; they win over the template's."),
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE|-",
            help="Send this event and exit. Without it, wait for callers until Ctrl-C.",
        ),
    ] = None,
    invocations: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="How often to send the event; by default once."),
    ] = None,
    pause: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long to wait between two events; by default not at all."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            metavar=SWITCH,
            help="Start the handler anew when a source in its folder changes, or with the key r; "
            "with --event, send that again.",
        ),
    ] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Take this many invocations at once, unfrozen, as Managed Instances do.",
        ),
    ] = None,
    freeze: Annotated[
        bool,
        typer.Option(
            metavar=SWITCH, help="Freeze the handler's processes between invocations, as Lambda does."
        ),
    ] = True,
    runner: Annotated[
        bool, typer.Option(metavar=SWITCH, help="Start the handler under the post runner.")
    ] = True,
    function_timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="The function's timeout, past which everything is killed. "
            "By default the template's, AWS_LAMBDA_FUNCTION_TIMEOUT, or 300s as the emulator has it.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=HIGHEST_PORT,
            metavar="PORT",
            help="The port for callers. By default 9000 if it is free; with --event any.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar=SWITCH, help="Print what happens as JSON, one event a line.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Save the timeline as a picture at the end.")
    ] = None,
    given: Mapping[str, str],
) -> None:
    """Run a handler as Lambda would, on this machine, and show what happens when.

    Exits with 1 when an invocation or a post command failed.

    Example: aws-lambda-post-runner dev --command 'sleep 2; echo done' --watch app.handler
    """
    words = handler or []
    plan = (
        DEMO_PLAN
        if words == ["demo"] and event is None
        else _read_plan(event, invocations, pause, watch=watch)
    )
    _check_picture(svg)
    # What the file, the template or the environment has wrong is told by the function's start instead, as in Lambda.
    check_given(given)
    function = _find(Wanted(words, template, env_file, given))
    options = Options(
        handler=function.handler,
        timeout_s=_read_timeout(function_timeout, function),
        concurrency=concurrency,
        freeze=freeze,
        runner=runner,
        environ=function.environ,
        folder=function.folder,
    )
    timeline = Timeline()
    notes = function.notes if runner else ()
    picture = TimelineDisplay(nowhere() if as_json else console(), options, timeline, notes)
    display = Displays(JsonDisplay(), picture) if as_json else picture
    if port is None and plan.event is not None:
        port = 0
    try:
        status = run_for_a_reader(show_function, options, plan, port, timeline, display)
    except OSError as problem:
        message = f"{port}: {problem.strerror}; choose another, or 0 for any that is free"
        raise typer.BadParameter(message, param_hint="--port") from None
    if svg is not None:
        picture.save_svg(svg)
    raise typer.Exit(status)


def _find(wanted: Wanted) -> LocalFunction:
    try:
        return find_function(wanted, os.environ)
    except OSError as problem:
        raise typer.BadParameter(f"{problem.filename}: {problem.strerror}") from None
    except (UnreadableError, NoFunctionError) as problem:
        raise typer.BadParameter(str(problem)) from None


def _read_timeout(text: str | None, function: LocalFunction) -> float:
    if text is None and function.timeout_s is not None:
        return function.timeout_s
    seconds = function.environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "")
    default = f"{seconds}s" if seconds else EMULATORS_TIMEOUT
    text = text or default
    timeout_s = read_duration(text, "--function-timeout")
    if timeout_s == 0:
        raise typer.BadParameter(f"{text!r} leaves the function no time", param_hint="--function-timeout")
    return timeout_s


def _read_plan(event: str | None, invocations: int | None, pause: str | None, *, watch: bool) -> Plan:
    pause_s = 0.0 if pause is None else read_duration(pause, "--pause")
    if event is not None:
        return Plan(read_event(event, "--event"), invocations or 1, pause_s, watch=watch)
    for value, option in ((invocations, "--invocations"), (pause, "--pause")):
        if value is not None:
            message = "only with --event; without it, others send the events and `dev` waits for them"
            raise typer.BadParameter(message, param_hint=option)
    return Plan(watch=watch)


def _check_picture(svg: Path | None) -> None:
    """Refuse now what could not be written at the end. Raises BadParameter."""
    if svg is None:
        return
    if svg.suffix != ".svg":
        raise typer.BadParameter(f"{svg}: it takes a name that ends in .svg", param_hint="--svg")
    if not svg.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {svg.parent}", param_hint="--svg")
    if not os.access(svg if svg.exists() else svg.parent, os.W_OK):
        raise typer.BadParameter(f"{svg} cannot be written", param_hint="--svg")
