"""The soak's handler: a runtime client that does with each invocation what its event asks for.

Called with the path of a file, to which it writes at the end which events it was given. It stands alone, for it is
started by the runner, and speaks HTTP by hand, for most of what it does no client library would do.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

STATUS = 7
"""What it exits with, so that nobody's 0 is taken for its own."""
PATIENCE = 60.0
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b'"' + b"x" * 400_000 + b'"'

DROPPING = threading.Lock()
"""Held from a poll that will be dropped to the event that its handler gets next. Another one that is to be dropped
would take the first one over, and its event would be lost with it: it is on its way when the connection closes."""

Event = dict[str, Any]
Ask = Callable[[], tuple[int, bytes]]


class Closed(Exception):
    """The connection was closed instead of an answer."""


class Connection:
    """A connection to what the environment says is the Runtime API."""

    def __init__(self) -> None:
        host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
        self._sock = socket.create_connection((host, int(port)), PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def close(self) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # there may be an answer all the same
            self._sock.sendall(data)

    def ask(self, method: str, target: str, body: bytes = b"", headers: str = "") -> tuple[int, bytes]:
        """Send a request; return status and body of its response. Raises Closed."""
        length = f"Content-Length: {len(body)}\r\n" if method != "GET" else ""
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}{length}\r\n".encode() + body)
        return self.read_response()

    def read_response(self) -> tuple[int, bytes]:
        """The next final response. Raises Closed."""
        status, headers = self.read_head()
        while status < 200:
            status, headers = self.read_head()
        if headers.get(b"transfer-encoding") == b"chunked":
            return status, self._read_chunks()
        return status, self._read(int(headers[b"content-length"]))

    def read_head(self) -> tuple[int, dict[bytes, bytes]]:
        start, *lines = self._read_until(b"\r\n\r\n").split(b"\r\n")
        fields = [line.partition(b": ") for line in lines]
        return int(start.split(b" ")[1]), {name.lower(): value for name, _, value in fields}

    def is_closed(self) -> bool:
        """Wait for the end of the connection; tell whether nothing came before it."""
        with suppress(Closed):
            self._receive()
            return False
        return True

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._read_until(b"\r\n"), 16):
            body += self._read(size)
            self._read(2)
        while self._read_until(b"\r\n"):
            pass
        return body

    def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        data, _, self._received = self._received.partition(end)
        return data

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _receive(self) -> None:
        try:
            data = self._sock.recv(256 * 1024)
        except ConnectionResetError:
            raise Closed from None
        if not data:
            raise Closed
        self._received += data


class Handler:
    """Handles events one after the other, on a connection that changes with what the events ask for."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self._connection = Connection()
        self._has_asked = False
        """Whether the poll is on its way already."""
        self._event: Event | None = None
        """The next event, if it is here already."""

    def run(self) -> None:
        """Handle events until one says that it is the last."""
        while (event := self._next_event())["number"] is not None:
            self.events.append(event["number"])
            self._handle(event)

    def _next_event(self) -> Event:
        event, self._event = self._event, None
        return event or self._poll()

    def _reconnect(self) -> None:
        self._connection.close()
        self._connection = Connection()
        self._has_asked = False

    def _poll(self) -> Event:
        while True:
            if not self._has_asked:
                self._connection.send(NEXT)
            try:
                status, body = self._connection.read_response()
            except Closed:
                self._reconnect()
                continue
            assert status == 200, (status, body)
            self._has_asked = False
            event: Event = json.loads(body)
            return event

    def _handle(self, event: Event) -> None:
        BEHAVIOURS[event["handler"]](self, event, f"/2018-06-01/runtime/invocation/{event['id']}/")

    def answer(
        self, event: Event, target: str, *, kind: str = "response", body: bytes = b"{}", headers: str = ""
    ) -> None:
        self._see_answered(event, lambda: self._connection.ask("POST", target + kind, body, headers))

    def answer_on_new_connections(self, event: Event, target: str) -> None:
        self._reconnect()
        self.answer(event, target)
        self._reconnect()

    def answer_and_poll_on_another(self, event: Event, target: str) -> None:
        self.answer(event, target)
        self._poll_on_another()

    def answer_with_error(self, event: Event, target: str) -> None:
        self.answer(event, target, kind="error")

    def answer_with_large_error(self, event: Event, target: str) -> None:
        self.answer(event, target, kind="error", headers=f"Lambda-X-Ray-Cause: {'x' * (1 << 20)}\r\n")

    def answer_with_large_response(self, event: Event, target: str) -> None:
        self.answer(event, target, body=LARGE)

    def stream(self, event: Event, target: str, trailer: bytes = b"X-Took: 1") -> None:
        head = self._head(target, "Transfer-Encoding: chunked", "Trailer: X-Took")
        chunks = b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in (1, 10, 1000))

        def ask() -> tuple[int, bytes]:
            self._connection.send(head)
            self._connection.send(chunks)
            self._connection.send(b"0\r\n" + trailer + b"\r\n\r\n")
            return self._connection.read_response()

        self._see_answered(event, ask)

    def stream_and_fail(self, event: Event, target: str) -> None:
        self.stream(event, target, b"Lambda-Runtime-Function-Error-Type: Function.Failed")

    def answer_when_invited(self, event: Event, target: str) -> None:
        def ask() -> tuple[int, bytes]:
            self._connection.send(self._head(target, "Content-Length: 2", "Expect: 100-continue"))
            status, _ = self._connection.read_head()
            assert status == 100
            self._connection.send(b"{}")
            return self._connection.read_response()

        self._see_answered(event, ask)

    def answer_and_hang_up(self, _event: Event, target: str) -> None:
        self._connection.send(self._head(target, "Content-Length: 2") + b"{}")
        self._reconnect()

    def answer_hang_up_and_wait(self, event: Event, target: str) -> None:
        self.answer_and_hang_up(event, target)
        self._tell(f"answered/{event['number']}")

    def cut_upload_and_answer_again(self, event: Event, target: str) -> None:
        self._connection.send(self._head(target, "Content-Length: 1000") + b"half of it")
        self._reconnect()
        self.answer(event, target)

    def drop_held_poll(self, event: Event, target: str) -> None:
        self.answer(event, target)
        self._drop_poll(event)

    def drop_poll_that_is_out(self, event: Event, target: str) -> None:
        self.answer(event, target)
        self._drop_poll(event, first=f"poll-arrived/{event['number']}")

    def drop_poll_among_others(self, event: Event, target: str) -> None:
        """Drop a poll that the Runtime API keeps back until then; any of the others may get its event."""
        self.answer(event, target)
        number = event["number"]
        with DROPPING:
            dropped = Connection()
            dropped.send(NEXT.replace(b"Host: x", b"Host: x\r\nX-Soak-Dropped-After: %d" % number))
            self._tell(f"poll-arrived/{number}")
            dropped.close()
            if number % 2:  # it makes a difference whether the next poll comes before or after the event
                self._poll_on_another()
            self._tell(f"dropped/{number}")
            self._event = self._poll()

    def restore(self, event: Event, target: str) -> None:
        self.answer(event, target)
        for asked in ("/2018-06-01/runtime/restore/next", f"/soak/rest/{event['number']}"):
            status, _ = self._connection.ask("GET", asked)
            assert status == 200

    def ask_ambiguously(self, event: Event, target: str) -> None:
        connection = Connection()
        connection.send(self._head(target, "Content-Length: 2", "Transfer-Encoding: chunked") + b"{}")
        status, _ = connection.read_response()
        assert status == 400
        assert connection.is_closed()
        connection.close()
        self.answer(event, target)

    def answer_unknown_id(self, event: Event, target: str) -> None:
        status, _ = self._connection.ask("POST", "/2018-06-01/runtime/invocation/unknown/response")
        assert status == 400
        self.answer(event, target)

    def answer_twice(self, event: Event, target: str) -> None:
        self.answer(event, target)
        status, _ = self._connection.ask("POST", target + "response", b"{}")
        assert status == 400

    def answer_and_be_waited_for(self, event: Event, target: str) -> None:
        wait = f"/post-runner/v1/invocation/{event['id']}/wait"
        status, document = self._connection.ask("POST", wait)
        assert status == 201
        self.answer(event, target)
        if event["status"] != 202:
            return
        other = Connection()
        self._poll_on_another()
        status, _ = other.ask("GET", f"/soak/wait-ends/{event['number']}")
        assert status == 200
        status, _ = other.ask("DELETE", f"/post-runner/v1/wait/{json.loads(document)['token']}")
        assert status == 202
        other.close()

    def _see_answered(self, event: Event, ask: Ask) -> None:
        """See that the answer is taken, refused or left without a word as the event says it will be."""
        try:
            status: int | None = ask()[0]
        except Closed:
            status = None
        assert status == event["status"], (status, event)
        if status is None:
            self._reconnect()

    def _head(self, target: str, *lines: str) -> bytes:
        return "\r\n".join([f"POST {target}response HTTP/1.1", "Host: x", *lines, "", ""]).encode()

    def _poll_on_another(self) -> None:
        before, self._connection = self._connection, Connection()
        self._connection.send(NEXT)
        self._has_asked = True
        before.close()

    def _drop_poll(self, event: Event, first: str = "") -> None:
        dropped = Connection()
        dropped.send(NEXT)
        if first:
            self._tell(first)
        dropped.close()
        if event["number"] % 2:  # it makes a difference whether the next poll comes before or after the event
            self._poll_on_another()
        self._tell(f"dropped/{event['number']}")

    def _tell(self, what: str) -> None:
        """Tell the Runtime API something, or wait there until it has happened."""
        connection = Connection()
        status, _ = connection.ask("GET", f"/soak/{what}")
        assert status == 200
        connection.close()


BEHAVIOURS: dict[str, Callable[[Handler, Event, str], None]] = {
    "plain": Handler.answer,
    "new connections": Handler.answer_on_new_connections,
    "second connection": Handler.answer_and_poll_on_another,
    "error": Handler.answer_with_error,
    "large error": Handler.answer_with_large_error,
    "large response": Handler.answer_with_large_response,
    "chunks": Handler.stream,
    "failed half-way": Handler.stream_and_fail,
    "expects 100": Handler.answer_when_invited,
    "hangs up before the acknowledgement": Handler.answer_hang_up_and_wait,
    "hangs up and polls at once": Handler.answer_and_hang_up,
    "cuts its upload": Handler.cut_upload_and_answer_again,
    "drops its poll while it is held": Handler.drop_held_poll,
    "drops its poll while it is out": Handler.drop_poll_that_is_out,
    "asks something ambiguous": Handler.ask_ambiguously,
    "answers an unknown id": Handler.answer_unknown_id,
    "answers twice": Handler.answer_twice,
    "drops its poll among others": Handler.drop_poll_among_others,
    "waits": Handler.answer_and_be_waited_for,
    "restores": Handler.restore,
}


if __name__ == "__main__":
    at_once = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))
    handlers = [Handler() for _ in range(at_once)]
    try:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(Handler.run, handlers))  # raises what any of them raises
    finally:
        Path(sys.argv[1]).write_text(json.dumps([number for each in handlers for number in each.events]))
    sys.exit(STATUS)
