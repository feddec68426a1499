"""The two ends of a measured relay: a Runtime API that always has an event, and a handler that answers it.

    python ends.py runtime-api TRAFFIC LISTENER    serves on that inherited descriptor until it is killed
    python ends.py handler TRAFFIC CONTROL_SOCKET  polls and answers as often as the control socket asks for

An end that costs more than the relay would hide it, so they are blocking sockets and messages laid out
beforehand. What a relay cannot know beforehand in real traffic is kept: every invocation has an id and a
deadline of its own, and every answer carries the second it was given in. They know nothing of what is between
them.
"""

import json
import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from email.utils import formatdate
from typing import NoReturn

READ_BYTES = 256 * 1024
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LAST_CHUNK = b"0\r\n\r\n"
REQUEST_ID = b"8476a536-e9f4-11e8-9739-%012x"
REQUEST_ID_HEADER = re.compile(rb"\r\nlambda-runtime-aws-request-id: *([^\r]+)", re.IGNORECASE)
DEADLINE_BYTES = len("1767225600000")
FIFTEEN_MINUTES_MS = 900_000


@dataclass(frozen=True)
class Traffic:
    """What passes in one cycle: a poll, its event, a response, its acknowledgement."""

    event_bytes: int = 1024
    response_bytes: int = 1024
    chunk_bytes: int | None = None
    """None: the response has a Content-Length. Otherwise it is streamed in chunks of this size, a send each."""
    connection_per_request: bool = False

    def to_json(self) -> str:
        """The one command line word that carries it to the ends."""
        return json.dumps(asdict(self))


class Message:
    """An HTTP message laid out once; before each send a few fields of fixed width are overwritten."""

    def __init__(self, head: bytes, body: bytes, **fields: bytes) -> None:
        """`head` has each field's name in braces at its place; `fields` are values of the final width."""
        self._places = {}
        for name, value in fields.items():
            start = head.index(b"{%s}" % name.encode())
            head = head.replace(b"{%s}" % name.encode(), value)
            self._places[name] = slice(start, start + len(value))
        self.bytes = bytearray(head + b"\r\n" + body)

    def put(self, name: str, value: bytes) -> None:
        """Overwrite one field; the value has the width of the first one."""
        self.bytes[self._places[name]] = value


def read_message(connection: socket.socket, buffer: bytearray) -> bytes:
    """Read one message and return what came up to the end of its head; its body is thrown away.

    Returns b"" if the connection was closed before the message, raises EOFError if within it.
    """
    received = connection.recv(READ_BYTES)
    if not received:
        return b""
    while (head_bytes := received.find(b"\r\n\r\n") + 4) < 4:
        received += receive_some(connection)
    head = received[:head_bytes]
    if length := CONTENT_LENGTH.search(head):
        missing = int(length[1]) - (len(received) - head_bytes)
        while missing > 0:
            count = connection.recv_into(buffer, min(missing, len(buffer)))
            if not count:
                raise EOFError
            missing -= count
    elif b"chunked" in head:
        read_to_last_chunk(connection, received[head_bytes:])
    return head


def read_to_last_chunk(connection: socket.socket, received: bytes) -> None:
    """Read a chunked body to its end. Our bodies hold no digit, so the last chunk cannot be mistaken."""
    while not received.endswith(LAST_CHUNK):
        received = received[-len(LAST_CHUNK) :] + receive_some(connection)


def receive_some(connection: socket.socket) -> bytes:
    """At least one byte; EOFError if there will be none."""
    received = connection.recv(READ_BYTES)
    if not received:
        raise EOFError
    return received


class RuntimeApi:
    """Answers each poll at once with a new event and acknowledges the response to it.

    One thread: it waits for any connection to speak, then stays with it until that request is answered.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._buffer = bytearray(READ_BYTES)
        self._invocations = 0
        self._second = 0
        self._event = Message(
            b"HTTP/1.1 200 OK\r\n"
            b"Content-Type: application/json\r\n"
            b"Lambda-Runtime-Aws-Request-Id: {id}\r\n"
            b"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-north-1:123456789012:function:bench\r\n"
            b"Lambda-Runtime-Trace-Id: Root=1-65a1b2c3-0123456789abcdef01234567;Parent=0123456789abcdef\r\n"
            b"Date: {date}\r\n"
            b"Content-Length: %d\r\n" % traffic.event_bytes,
            b"e" * traffic.event_bytes,
            id=REQUEST_ID % 0,
            deadline=b"0" * DEADLINE_BYTES,
            date=formatdate(0, usegmt=True).encode(),
        )
        self._acknowledgement = Message(
            b"HTTP/1.1 202 Accepted\r\n"
            b"Content-Type: application/json\r\n"
            b"Date: {date}\r\n"
            b"Content-Length: 16\r\n",
            b'{"status":"OK"}\n',
            date=formatdate(0, usegmt=True).encode(),
        )
        self._unknown_path = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def serve(self, listener: socket.socket) -> NoReturn:
        """Serve for ever."""
        ready = select.epoll()
        ready.register(listener, select.EPOLLIN)
        connections: dict[int, socket.socket] = {}
        while True:
            for descriptor, _ in ready.poll():
                if descriptor == listener.fileno():
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[connection.fileno()] = connection
                    ready.register(connection, select.EPOLLIN)
                elif not self._answer(connections[descriptor]):
                    connections.pop(descriptor).close()

    def _answer(self, connection: socket.socket) -> bool:
        """Read one request and answer it; False when the connection is of no more use."""
        try:
            head = read_message(connection, self._buffer)
        except (ConnectionError, EOFError):
            return False
        if head:
            connection.sendall(self._answer_to(head))
        return bool(head)

    def _answer_to(self, head: bytes) -> bytes | bytearray:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            date = formatdate(self._second, usegmt=True).encode()
            self._event.put("date", date)
            self._acknowledgement.put("date", date)
        if b"/invocation/next " in head:
            self._invocations += 1
            self._event.put("id", REQUEST_ID % self._invocations)
            self._event.put("deadline", b"%d" % (now * 1000 + FIFTEEN_MINUTES_MS))
            return self._event.bytes
        if REQUEST_ID % self._invocations in head:
            return self._acknowledgement.bytes
        return self._unknown_path


class Handler:
    """Polls and answers, in a loop without work of its own."""

    def __init__(self, traffic: Traffic, runtime_api: str) -> None:
        """`runtime_api` is host:port, as AWS_LAMBDA_RUNTIME_API gives it."""
        host, port = runtime_api.split(":")
        self._address = host, int(port)
        self._traffic = traffic
        self._buffer = bytearray(READ_BYTES)
        usual = f"Host: {runtime_api}\r\nAccept: */*\r\n"
        self._poll = f"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n{usual}\r\n".encode()
        body = b"r" * traffic.response_bytes
        self._chunks: list[bytes] = []
        framing = f"Content-Length: {len(body)}\r\n"
        if traffic.chunk_bytes:
            self._chunks = [*chunked(body, traffic.chunk_bytes), LAST_CHUNK]
            framing = "Transfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
            body = b""
        self._response = Message(
            b"POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\n"
            + f"{usual}Content-Type: application/json\r\n{framing}".encode(),
            body,
            id=REQUEST_ID % 0,
        )
        self._kept = None if traffic.connection_per_request else self._connect()

    def run(self, cycles: int) -> list[int]:
        """Poll and answer that many times; the nanoseconds from each poll to its acknowledgement."""
        durations = []
        for _ in range(cycles):
            start = time.perf_counter_ns()
            self._cycle()
            durations.append(time.perf_counter_ns() - start)
        return durations

    def _cycle(self) -> None:
        event = self._ask(self._poll)
        request_id = REQUEST_ID_HEADER.search(event)
        if not request_id:
            raise ValueError(f"not an event: {event!r}")
        self._response.put("id", request_id[1])
        acknowledgement = self._ask(self._response.bytes, self._chunks)
        if not acknowledgement.startswith(b"HTTP/1.1 202 "):
            raise ValueError(f"not acknowledged: {acknowledgement!r}")

    def _ask(self, message: bytes | bytearray, chunks: Sequence[bytes] = ()) -> bytes:
        connection = self._kept or self._connect()
        connection.sendall(message)
        for chunk in chunks:
            connection.sendall(chunk)
        answer = read_message(connection, self._buffer)
        if not answer:
            raise EOFError
        if connection is not self._kept:
            connection.close()
        return answer

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def chunked(body: bytes, chunk_bytes: int) -> Iterator[bytes]:
    """The body's chunks as they go on the wire, without the last, empty one."""
    for start in range(0, len(body), chunk_bytes):
        chunk = body[start : start + chunk_bytes]
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)


def serve_runtime_api() -> NoReturn:
    """Serve on the listening socket that was inherited."""
    RuntimeApi(Traffic(**json.loads(sys.argv[2]))).serve(socket.socket(fileno=int(sys.argv[3])))


def obey_control_socket() -> None:
    """Run as many cycles as each line asks for and answer with their durations, until the socket closes.

    The first line of all is ours: where our Runtime API is.
    A SIGTERM is answered with the moment it came, on the clock all processes share, and ends the handler.
    """
    control = socket.socket(socket.AF_UNIX)
    control.connect(sys.argv[3])

    def tell_when_terminated(_signal: int, _frame: object) -> NoReturn:
        control.sendall(b"%d\n" % time.monotonic_ns())
        sys.exit(0)

    signal.signal(signal.SIGTERM, tell_when_terminated)
    runtime_api = os.environ["AWS_LAMBDA_RUNTIME_API"]
    handler = Handler(Traffic(**json.loads(sys.argv[2])), runtime_api)
    control.sendall(runtime_api.encode() + b"\n")
    with control.makefile("r", encoding="ascii") as orders:
        for cycles in orders:
            control.sendall(json.dumps(handler.run(int(cycles))).encode() + b"\n")


if __name__ == "__main__":
    match sys.argv[1]:
        case "runtime-api":
            serve_runtime_api()
        case "handler":
            obey_control_socket()
        case role:
            sys.exit(f"no such end: {role}")
