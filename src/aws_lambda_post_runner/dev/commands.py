"""The commands of people, beside `run`: their options, and what they exit with."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.console import Console

from aws_lambda_post_runner.settings import COMMAND, MARGIN

from .display import PLAIN_WIDTH, JsonDisplay, TimelineDisplay
from .environment import Options
from .show import Plan, show_function
from .timeline import Timeline

DEMO_HANDLER = (sys.executable, "-m", "awslambdaric", "aws_lambda_post_runner.dev.demo.handler")
DEMO_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"; sleep 2'
DEMO_PLAN = Plan(event=b'{"name": "Ada"}', invocations=3, pause_s=1.0)


def dev(  # noqa: PLR0913 - each option is a parameter
    handler: Annotated[
        list[str],
        typer.Argument(
            help="The command that starts the handler, after `--`; or `demo` for the handler that ships."
        ),
    ],
    *,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE|-",
            help="Send this event and exit. Without it, wait for callers until Ctrl-C.",
        ),
    ] = None,
    invocations: Annotated[int, typer.Option(min=1, help="How often to send the event.")] = 1,
    pause: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait between two events.")
    ] = "0s",
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Take this many invocations at once, unfrozen, as Managed Instances do."),
    ] = None,
    freeze: Annotated[
        bool, typer.Option(help="Freeze the handler's processes between invocations, as Lambda does.")
    ] = True,
    runner: Annotated[bool, typer.Option(help="Start the handler under the post runner.")] = True,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="The function's timeout, past which everything is killed. "
            "[default: AWS_LAMBDA_FUNCTION_TIMEOUT, or 300s as the emulator has it]",
            show_default=False,
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(help="The port for callers. [default: 9000 or any other; with --event any]"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what happens as JSON, one event a line.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Save the timeline as a picture at the end.")] = None,
) -> None:
    """Run a handler as Lambda would, on this machine, and show what happens when.

    Exits with 1 when an invocation or a post command failed.
    """
    environ = dict(os.environ)
    plan = _read_plan(event, invocations, pause)
    if handler == ["demo"]:
        if importlib.util.find_spec("awslambdaric") is None:
            raise typer.BadParameter("the demo runs under awslambdaric: pip install awslambdaric")
        handler = list(DEMO_HANDLER)
        environ.setdefault(COMMAND.full_name, DEMO_COMMAND)
        plan = plan if event else DEMO_PLAN
    options = Options(
        handler=tuple(handler),
        timeout_s=read_duration(
            timeout or environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "300") + "s", "--timeout"
        ),
        concurrency=concurrency,
        freeze=freeze,
        runner=runner,
        environ=environ,
    )
    timeline = Timeline()
    display = JsonDisplay() if as_json else TimelineDisplay(_console(), options, timeline)
    if port is None and plan.event is not None:
        port = 0
    try:
        status = trio.run(show_function, options, plan, port, timeline, display)
    except OSError as problem:
        raise typer.BadParameter(f"{port}: {problem.strerror}", param_hint="--port") from None
    if svg is not None and isinstance(display, TimelineDisplay):
        display.save_svg(svg, title="aws-lambda-post-runner dev")
    raise typer.Exit(status)


def _read_plan(event: str | None, invocations: int, pause: str) -> Plan:
    content = None if event is None else read_event(event, "--event")
    return Plan(content, invocations, read_duration(pause, "--pause"))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def read_duration(text: str, option: str) -> float:
    """Return the seconds that an option says."""
    try:
        return MARGIN.parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not {MARGIN.valid}", param_hint=option) from None


def read_event(text: str, option: str) -> bytes:
    """Return the event that an option means: JSON text, @FILE, or - for standard input."""
    try:
        event = _text_of(text)
        json.loads(event)
    except OSError as problem:
        raise typer.BadParameter(f"{problem.filename}: {problem.strerror}", param_hint=option) from None
    except ValueError as problem:
        raise typer.BadParameter(f"not JSON: {problem}", param_hint=option) from None
    return event.encode()


def _text_of(argument: str) -> str:
    if argument == "-":
        return sys.stdin.read()
    return Path(argument[1:]).read_text() if argument.startswith("@") else argument
