"""`invoke`: its options, and what it exits with."""

from typing import Annotated

import typer

from aws_lambda_post_runner.dev.caller import Caller, Orders
from aws_lambda_post_runner.dev.examples import Example, read_example
from aws_lambda_post_runner.dev.running import newest_address
from aws_lambda_post_runner.dev.session import USUAL_PORT

from .options import read_event
from .output import run_for_a_reader


def invoke(  # noqa: PLR0913 - each option is a parameter
    *,
    event: Annotated[
        str, typer.Option(metavar="JSON|@FILE|-", help="The event to send.", show_default=False)
    ] = "",
    example: Annotated[
        Example | None, typer.Option(help="Send an event as this service sends it, instead.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How often to send it.")] = 1,
    parallel: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="How many at once.")] = 1,
    wait: Annotated[
        bool, typer.Option(help="Wait for the answer; otherwise the invocation type is Event.")
    ] = True,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port of the `dev` to invoke; by default that of the one started last.", metavar="PORT"
        ),
    ] = None,
) -> None:
    """Send an event to a running `dev`; print the answer, and on standard error how long it took.

    Exits with 1 when the function failed or did not answer.

    Example: aws-lambda-post-runner invoke --event '{"name": "Ada"}'
    """
    if event and example:
        raise typer.BadParameter("an event or an example, not both", param_hint="--example")
    content = read_example(example) if example else read_event(event or "{}", "--event")
    invocation_type = "RequestResponse" if wait else "Event"
    address = newest_address() if port is None else None
    orders = Orders(address or f"127.0.0.1:{port or USUAL_PORT}", content, repeat, parallel, invocation_type)
    raise typer.Exit(run_for_a_reader(Caller(orders).send_all))
