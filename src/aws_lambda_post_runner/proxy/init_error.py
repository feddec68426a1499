"""Tell the Runtime API that we cannot start, so that the reason shows in the function's answer."""

from contextlib import suppress

import trio

from aws_lambda_post_runner.runtime_api import (
    ERROR_CONTENT_TYPE,
    ERROR_TYPE,
    INIT_ERROR_TARGET,
    error_document,
)

from .ends import RuntimeApiWire
from .heads import Malformed, make_request
from .wire import Hangup

INVALID_CONFIGURATION = "Runtime.PostRunnerInvalidConfiguration"
_PATIENCE = 1.0
"""Seconds for the Runtime API to take it; we end with or without."""


async def report_init_error(address: tuple[str, int], message: str) -> None:
    """Post `message` to the Runtime API at `address`. Trouble on the way is left unsaid."""
    document = error_document(message, INVALID_CONFIGURATION)
    headers = [
        (b"Host", "{}:{}".format(*address).encode()),
        (b"Content-Type", ERROR_CONTENT_TYPE),
        (ERROR_TYPE.title(), INVALID_CONFIGURATION.encode()),
        (b"Content-Length", b"%d" % len(document)),
    ]
    request = make_request(b"POST", INIT_ERROR_TARGET, headers)
    with trio.move_on_after(_PATIENCE), suppress(OSError, Hangup, Malformed):
        wire = await RuntimeApiWire.connect(address)
        try:
            wire.queue_request(request)
            await wire.flush(document)
            await wire.receive_response(request)
        finally:
            wire.close()
