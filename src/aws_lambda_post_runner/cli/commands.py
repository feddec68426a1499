"""The commands of people, beside `run`: their options, and what they exit with."""

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import trio
import typer
from rich.console import Console

from aws_lambda_post_runner.dev.caller import Caller, Orders
from aws_lambda_post_runner.dev.check.findings import concerns_us
from aws_lambda_post_runner.dev.check.function_config import UnreadableError, from_environment, read_file
from aws_lambda_post_runner.dev.check.report import print_check
from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.examples import Example, read_example
from aws_lambda_post_runner.dev.session import USUAL_PORT
from aws_lambda_post_runner.dev.show import Plan, show_function
from aws_lambda_post_runner.dev.templates.render import Architecture, Kind, render
from aws_lambda_post_runner.dev.view.display import PLAIN_WIDTH, Displays, JsonDisplay, TimelineDisplay
from aws_lambda_post_runner.dev.view.timeline import Timeline
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import COMMAND, MARGIN, VARIABLES, SettingsError
from aws_lambda_post_runner.settings import read as read_settings

BROKEN_PIPE = 128 + signal.SIGPIPE
DEMO_HANDLER = (sys.executable, "-m", "awslambdaric", "aws_lambda_post_runner.dev.demo.handler")
DEMO_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"; sleep 2'
TEMPLATE_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"'
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
    invocations: Annotated[
        int | None, typer.Option(min=1, help="How often to send the event; by default once.")
    ] = None,
    pause: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long to wait between two events; by default not at all."),
    ] = None,
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
            "By default AWS_LAMBDA_FUNCTION_TIMEOUT, or 300s as the emulator has it.",
            show_default=False,
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(help="The port for callers. By default 9000 if it is free; with --event any."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what happens as JSON, one event a line.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Save the timeline as a picture at the end.")
    ] = None,
) -> None:
    """Run a handler as Lambda would, on this machine, and show what happens when.

    Exits with 1 when an invocation or a post command failed.
    """
    environ = dict(os.environ)
    is_demo = handler == ["demo"]
    plan = DEMO_PLAN if is_demo and event is None else _read_plan(event, invocations, pause)
    _check_picture(svg)
    if is_demo:
        if importlib.util.find_spec("awslambdaric") is None:
            raise typer.BadParameter("the demo runs under awslambdaric: pip install awslambdaric")
        handler = list(DEMO_HANDLER)
        environ.setdefault(COMMAND.full_name, DEMO_COMMAND)
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
    picture = TimelineDisplay(_nowhere() if as_json else _console(), options, timeline)
    display = Displays(JsonDisplay(), picture) if as_json else picture
    if port is None and plan.event is not None:
        port = 0
    try:
        status = _run_for_a_reader(show_function, options, plan, port, timeline, display)
    except OSError as problem:
        raise typer.BadParameter(f"{port}: {problem.strerror}", param_hint="--port") from None
    if svg is not None:
        picture.save_svg(svg, title="aws-lambda-post-runner dev")
    raise typer.Exit(status)


def _read_plan(event: str | None, invocations: int | None, pause: str | None) -> Plan:
    pause_s = 0.0 if pause is None else read_duration(pause, "--pause")
    if event is not None:
        return Plan(read_event(event, "--event"), invocations or 1, pause_s)
    for value, option in ((invocations, "--invocations"), (pause, "--pause")):
        if value is not None:
            message = "only with --event; without it, others send the events and `dev` waits for them"
            raise typer.BadParameter(message, param_hint=option)
    return Plan()


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


def _run_for_a_reader(what: Callable[..., Awaitable[int]], *args: Any) -> int:
    """Run it and return its status; when whoever reads our output goes away, end quietly, as programs do."""
    status = BROKEN_PIPE
    try:
        status = trio.run(what, *args)
    except* (BrokenPipeError, SystemExit):  # rich makes the one into the other
        # The interpreter must not fail once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def invoke(  # noqa: PLR0913 - each option is a parameter
    *,
    event: Annotated[
        str, typer.Option(metavar="JSON|@FILE|-", help="The event to send.", show_default=False)
    ] = "",
    example: Annotated[
        Example | None, typer.Option(help="Send an event as this service sends it, instead.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="How often to send it.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, help="How many at once.")] = 1,
    wait: Annotated[
        bool, typer.Option(help="Wait for the answer; otherwise the invocation type is Event.")
    ] = True,
    port: Annotated[int, typer.Option(help="The port that `dev` says it listens on.")] = USUAL_PORT,
) -> None:
    """Send an event to a running `dev`; print the answer, and on standard error how long it took.

    Exits with 1 when the function failed or did not answer.
    """
    if event and example:
        raise typer.BadParameter("an event or an example, not both", param_hint="--example")
    content = read_example(example) if example else read_event(event or "{}", "--event")
    invocation_type = "RequestResponse" if wait else "Event"
    orders = Orders(f"127.0.0.1:{port}", content, repeat, parallel, invocation_type)
    raise typer.Exit(_run_for_a_reader(Caller(orders).send_all))


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
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
    failed = [print_check(config, _console()) for config in ours]
    raise typer.Exit(1 if any(failed) else 0)


def template(
    kind: Annotated[Kind, typer.Argument(help="What to write it for.")],
    *,
    command: Annotated[str | None, typer.Option(help="The post command.")] = None,
    architecture: Annotated[
        Architecture, typer.Option(help="The function's processor.")
    ] = Architecture.X86_64,
    timeout: Annotated[int, typer.Option(min=1, max=900, help="The function's timeout, in seconds.")] = 30,
) -> None:
    """Print a minimal deployment of a function with the post runner.

    All AWS_LAMBDA_POST_RUNNER_ variables of the environment are filled in.
    """
    names = [variable.full_name for variable in VARIABLES]
    settings = {COMMAND.full_name: TEMPLATE_COMMAND}
    settings |= {name: os.environ[name] for name in names if name in os.environ}
    if command is not None:
        settings[COMMAND.full_name] = command
    try:
        read_settings(settings | {ADDRESS_VARIABLE: "127.0.0.1:9001"})
    except SettingsError as problem:
        raise typer.BadParameter("; ".join(problem.lines), param_hint="settings") from None
    typer.echo(render(kind, architecture, timeout, settings), nl=False)


def _nowhere() -> Console:
    return Console(file=StringIO(), width=PLAIN_WIDTH)


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
