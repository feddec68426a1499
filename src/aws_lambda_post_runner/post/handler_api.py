"""What the handler may ask of us, on the address that it already has, beside the Runtime API.

    POST   /post-runner/v1/invocation/{id}/work    202  the body is a line for the command's standard input
    POST   /post-runner/v1/invocation/{id}/wait    201  {"token": "..."}: hold the next poll until it is ended;
                                                        {"name": "..."} as the body says what it is, for our lines
    DELETE /post-runner/v1/wait/{token}            202  it has ended

`{id}` is a request id, or `current` while exactly one invocation is in flight. Of several it can be `on:PORT`, or
`on:PORT,PORT`: the one whose event came on a connection with one of these local ports, which is how a process finds its
own where the runtime client has one for each invocation. Problems are answered in the Runtime API's own
form. Nothing that is asked here is ever sent on, and none of it can delay or fail an invocation.
"""

import json
import os
from itertools import chain

from aws_lambda_post_runner.invocation import Invocation, Invocations, State
from aws_lambda_post_runner.runtime_api import error_document, possible_ids, read_text

from .work import PostWork

PATH = b"/post-runner/"
WORK_LIMIT = 1024 * 1024
"""Bytes of work that one invocation can hand over, all in all."""
WAIT_LIMIT = 1000
"""Waits that one invocation can have open at once."""
NAME_LIMIT = 100
"""Characters that are kept of a wait's name."""

_BY_CONNECTION = "on:"

Answer = tuple[int, bytes]
"""A status and a JSON document."""

_ACCEPTED: Answer = 202, b'{"status":"OK"}'


class HandlerApi:
    """Answers the handler's own requests."""

    def __init__(self, invocations: Invocations, post_work: PostWork) -> None:
        self._invocations = invocations
        self._post_work = post_work

    def answer(self, method: bytes, target: bytes, body: bytes | None) -> Answer:
        """Do what is asked. `body` is None if it was larger than WORK_LIMIT."""
        match method, target.split(b"/")[2:]:
            case b"POST", [b"v1", b"invocation", request_id, b"work"]:
                return self._add_work(read_text(request_id), body)
            case b"POST", [b"v1", b"invocation", request_id, b"wait"]:
                return self._add_wait(read_text(request_id), body)
            case b"DELETE", [b"v1", b"wait", token]:
                return self._end_wait(token.decode("latin-1"))
            case _:
                return _problem(404, "there is no such request", "NotFound")

    def _add_work(self, request_id: str, body: bytes | None) -> Answer:
        found = self._find(request_id, State.IN_FLIGHT, State.REFUSED)
        if not isinstance(found, Invocation):
            return found
        if not self._post_work.may_run_commands:
            return _problem(409, f"no command runs {self._post_work.when_none_runs}", "NoCommand")
        if body is None or sum(map(len, found.work)) + len(body) > WORK_LIMIT:
            return _problem(413, f"more than {WORK_LIMIT} bytes of work", "RequestEntityTooLarge")
        found.work.append(body.rstrip(b"\n") + b"\n")
        return _ACCEPTED

    def _add_wait(self, request_id: str, body: bytes | None) -> Answer:
        # Of an answered invocation whose post work is not done, something more can still be waited for.
        found = self._find(request_id, State.IN_FLIGHT, State.REFUSED, State.SETTLED)
        if not isinstance(found, Invocation):
            return found
        if len(found.waits) >= WAIT_LIMIT:
            return _problem(413, f"more than {WAIT_LIMIT} waits", "TooManyWaits")
        token = os.urandom(16).hex()
        self._post_work.begin_wait(found, token, _name_in(body or b""))
        return 201, json.dumps({"token": token}).encode()

    def _end_wait(self, token: str) -> Answer:
        for invocation in self._invocations.in_state(*State):
            if token in invocation.waits:
                self._post_work.end_wait(invocation, token)
                return _ACCEPTED
        return _problem(404, "there is no such wait, or it has ended", "InvalidToken")

    def _find(self, request_id: str, *states: State) -> Invocation | Answer:
        """The invocation that is meant, in one of these states; of several the one whose state comes first."""
        by_state = [self._invocations.in_state(state) for state in states]
        if request_id.startswith(_BY_CONNECTION):
            ports = request_id.removeprefix(_BY_CONNECTION).split(",")
            by_state = [[each for each in group if _came_on(each, ports)] for group in by_state]
        if request_id == "current" or request_id.startswith(_BY_CONNECTION):
            current = next(filter(None, by_state), [])
            if len(current) == 1:
                return current[0]
            return _problem(409, f"{len(current)} invocations are in flight, not one", "NotOneInvocation")
        for possible_id in possible_ids(request_id):
            for invocation in chain(*by_state):
                if invocation.request_id == possible_id:
                    return invocation
        return _problem(404, "no such invocation is in flight", "InvalidRequestID")


def _came_on(invocation: Invocation, ports: list[str]) -> bool:
    return invocation.given_to is not None and str(invocation.given_to) in ports


def _name_in(body: bytes) -> str:
    """The name that a wait was given, for a line; empty if it has none that would do."""
    try:
        document = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return ""
    name = document.get("name") if isinstance(document, dict) else None
    return name[:NAME_LIMIT] if isinstance(name, str) and name.isprintable() else ""


def _problem(status: int, message: str, error_type: str) -> Answer:
    return status, error_document(message, error_type)
