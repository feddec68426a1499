"""Lazy listeners of Bolt for Python."""

from typing import Any

from slack_bolt import Ack, App
from slack_bolt.authorization import AuthorizeResult

import slow
from post_runner.slack import SlackRequestHandler


def authorize() -> AuthorizeResult:
    """Stand in for Slack, which knows the tokens."""
    return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="B1", bot_token="xoxb-1")  # noqa: S106


app = App(authorize=authorize, request_verification_enabled=False, process_before_response=True)


def acknowledge(ack: Ack) -> None:
    """Tell Slack, which waits three seconds, that it was heard."""
    ack("heard")


def welcome() -> None:
    """Welcome the user after that."""
    slow.work("welcome")


def fail() -> None:
    """Fail after that."""
    raise ZeroDivisionError("dividend / divisor")


app.command("/welcome")(ack=acknowledge, lazy=[welcome])
app.command("/fail")(ack=acknowledge, lazy=[fail])


def handler(event: dict[str, Any], context: Any) -> Any:
    """Be what Slack calls."""
    return SlackRequestHandler(app).handle(event, context)  # type: ignore[no-untyped-call]  # nor is it annotated
