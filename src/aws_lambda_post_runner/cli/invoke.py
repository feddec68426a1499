"""`invoke`: its options, and what it exits with."""

from typing import Annotated

import typer

from aws_lambda_post_runner.dev.caller import Caller, Orders
from aws_lambda_post_runner.dev.examples import Example, read_example
from aws_lambda_post_runner.dev.running import newest_address
from aws_lambda_post_runner.dev.session import USUAL_PORT

from .options import HIGHEST_PORT, SWITCH, read_event
from .output import run_for_a_reader


def invoke(  # noqa: PLR0913 - each option is a parameter
    *,
    event: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="The event to send; by default {}.", show_default=False),
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The event is in this file, or on standard input.")
    ] = None,
    example: Annotated[
        Example | None, typer.Option(help="Send an event as this service sends it, instead.")
    ] = None,
    repeat: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="How often to send it. Of many, percentiles and a histogram are printed, cold starts apart.",
        ),
    ] = 1,
    parallel: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many at once.")] = 1,
    wait: Annotated[
        bool,
        typer.Option(metavar=SWITCH, help="Wait for the answer; otherwise the invocation type is Event."),
    ] = True,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", metavar=SWITCH, help="Print one JSON object: each answer, and all of them together."
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=HIGHEST_PORT,
            help="The port of the `dev` to invoke; by default of the one started last without --event.",
            metavar="PORT",
        ),
    ] = None,
) -> None:
    """Send an event to a running `dev`; print the answer, and on standard error how long it took.

    Exits with 1 when the function failed or did not answer.

    Example: aws-lambda-post-runner invoke --event '{"name": "Ada"}'

    Example: aws-lambda-post-runner invoke --example sqs --repeat 100 --parallel 4
    """
    orders = Orders(
        address=(newest_address() if port is None else None) or f"127.0.0.1:{port or USUAL_PORT}",
        event=_read(event, file, example),
        repeat=repeat,
        parallel=parallel,
        invocation_type="RequestResponse" if wait else "Event",
        as_json=as_json,
    )
    raise typer.Exit(run_for_a_reader(Caller(orders).send_all))


def _read(event: str | None, file: str | None, example: Example | None) -> bytes:
    """Return the event, which only one of them may say. Raises BadParameter."""
    given = [name for name, value in (("--event", event), ("--file", file), ("--example", example)) if value]
    if len(given) > 1:
        raise typer.BadParameter(f"only one of {', '.join(given)}", param_hint=given[-1])
    if example:
        return read_example(example)
    if file:
        return read_event("-" if file == "-" else f"@{file}", "--file")
    return read_event(event or "{}", "--event")
