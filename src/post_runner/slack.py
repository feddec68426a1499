"""Bolt's lazy listeners in this execution environment, after the answer.

    from post_runner.slack import SlackRequestHandler  # before: from slack_bolt.adapter.aws_lambda

    def handler(event, context):
        return SlackRequestHandler(app).handle(event, context)

Bolt's own handler invokes the function a second time for each lazy listener: that needs the permission to do so, and
another execution environment, which may have to be started first. Here a lazy listener runs in a thread, and Lambda
does not freeze us before it has returned. One that fails is logged by Bolt, as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from slack_bolt import App, BoltRequest
from slack_bolt.adapter.aws_lambda import SlackRequestHandler as InvokingRequestHandler
from slack_bolt.lazy_listener import LazyListenerRunner
from slack_bolt.lazy_listener.internals import build_runnable_function

from ._waits import wait_until


class SlackRequestHandler(InvokingRequestHandler):
    """Bolt's handler for Lambda, whose lazy listeners run here and not in an invocation of their own."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        app.listener_runner.lazy_listener_runner = _AfterAnswer(self.logger)


class _AfterAnswer(LazyListenerRunner):
    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def start(self, function: Callable[..., None], request: BoltRequest) -> None:
        wait_until(build_runnable_function(function, self.logger, request))
