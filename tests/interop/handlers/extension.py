"""What an extension asks of the Extensions API; nothing ends its wait for an event."""

import json
import os
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPResponse
from typing import Any

IDENTIFIER = "Lambda-Extension-Identifier"


def exchange(method: str, path: str, body: str | None, headers: dict[str, str]) -> HTTPResponse:
    """Make a request on a connection of its own."""
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, f"/2020-01-01/extension/{path}", body, headers)
    return connection.getresponse()


def register(name: str, events: Sequence[str]) -> str:
    """Register, and return the identifier that was given."""
    body = json.dumps({"events": events})
    return str(exchange("POST", "register", body, {"Lambda-Extension-Name": name}).headers[IDENTIFIER])


def ask(path: str, identifier: str) -> dict[str, Any]:
    """Wait for the document that is there."""
    document: dict[str, Any] = json.load(exchange("GET", path, None, {IDENTIFIER: identifier}))
    return document
