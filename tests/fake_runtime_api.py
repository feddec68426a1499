"""A small Runtime API on a real socket, which does to each request what a test wants done.

Left alone it behaves: events come out of `GET .../next`, answers are taken with 202. `plan` says what the next
request to a path gets instead, byte by byte if need be. Every request is kept for the test to look at, as it came.

It must not share a line with what it tests: no h11, no trio, only blocking sockets, one thread for each connection.
"""

import select
import socket
import struct
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
RESTORE_NEXT = "/2018-06-01/runtime/restore/next"

PATIENCE = 10.0
"""Seconds after which something that a test waits for counts as never coming."""
KEPT = 8 * 1024 * 1024
"""Bytes of a request's body that are kept; the rest is only counted."""

_RECEIVE_SIZE = 256 * 1024


def answer_path(request_id: str, kind: str = "response") -> str:
    """Where the answer to an invocation goes; `kind` is `response` or `error`."""
    return f"/2018-06-01/runtime/invocation/{request_id}/{kind}"


@dataclass(eq=False)
class Request:
    """One request as it came. Times are in seconds since 1970."""

    received: float
    """When the head was whole."""
    connection: int
    """Which connection it came on; the first one is 1."""
    head: bytes
    """From the request line to the empty line, as it came."""
    body: bytearray = field(default_factory=bytearray)
    body_size: int = 0
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When how many bytes of the body came: for each chunk, or for each read of a body with a length."""
    trailers: bytes = b""
    """The lines after the last chunk, as they came."""
    whole: bool = False
    """The body was read to its proper end."""
    cut: bool = False
    """The peer went away before that."""

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin-1")

    def all(self, name: str) -> list[str]:
        """The values of all headers of this name, in order, whatever its case."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        wanted = name.lower().encode()
        return [value.strip().decode("latin-1") for key, _, value in lines if key.lower() == wanted]

    def get(self, name: str) -> str:
        """The value of the first header of this name; empty if there is none."""
        return next(iter(self.all(name)), "")


class PeerWentAway(Exception):
    """The peer closed or reset the connection."""


class Exchange:
    """One request and what a script makes of it. Belongs to the connection's thread."""

    def __init__(self, api: "FakeRuntimeApi", connection: "Connection", request: Request) -> None:
        self.api = api
        self.request = request
        self._connection = connection

    def read_body(self) -> None:
        """Read the body to its end into `request`. Raises PeerWentAway if it never ends."""
        request, connection = self.request, self._connection
        if request.whole:
            return
        try:
            if "chunked" in request.get("Transfer-Encoding").lower():
                self._read_chunks()
            else:
                self._read_bytes(int(request.get("Content-Length") or 0))
        except PeerWentAway:
            with self.api.changing():
                request.cut = True
            connection.close()
            raise
        with self.api.changing():
            request.whole = True

    def read_some(self, size: int) -> None:
        """Read `size` bytes of the body and leave the rest unread."""
        self._read_bytes(size)

    def send(self, data: bytes) -> None:
        """Send these bytes. Raises PeerWentAway."""
        self._connection.send(data)

    def trickle(self, data: bytes, gap: float) -> None:
        """Send one byte every `gap` seconds."""
        for number in data:
            self._connection.send(bytes([number]))
            time.sleep(gap)

    def hang_up(self) -> None:
        """Close the connection."""
        self._connection.close()

    def reset(self) -> None:
        """Close it with a TCP reset."""
        self._connection.reset()

    def take_event(self) -> "Event":
        """Wait for an event. Raises PeerWentAway when this connection or the whole Runtime API is closed."""
        return self.api.take_event(self._connection)

    def is_peer_gone_within(self, seconds: float) -> bool:
        """Wait so long; tell whether the peer has closed the connection before the time was up."""
        return self._connection.is_gone(seconds)

    def wait_until_peer_is_gone(self) -> None:
        """Wait until the peer has closed the connection."""
        with suppress(PeerWentAway):
            while True:
                self._connection.receive_some()

    def _note(self, data: bytes) -> None:
        with self.api.changing():
            request = self.request
            request.arrivals.append((time.time(), len(data)))
            request.body_size += len(data)
            request.body += data[: max(0, KEPT - len(request.body))]

    def _read_bytes(self, left: int) -> None:
        while left:
            data = self._connection.read_at_most(left)
            left -= len(data)
            self._note(data)

    def _read_chunks(self) -> None:
        while size := int(self._connection.read_line().partition(b";")[0], 16):
            self._note(self._connection.read(size))
            self._connection.read(2)
        lines = []
        while (line := self._connection.read_line()) != b"\r\n":
            lines.append(line)
        self.request.trailers = b"".join(lines)


Script = Callable[[Exchange], None]
"""What is done to a request whose head has come. Returning means: wait for another request, if still open."""


class Connection:
    """One end of a connection, read with a buffer. Every problem of the peer's is PeerWentAway."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._buffer = b""

    def close(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    @property
    def is_open(self) -> bool:
        return self._sock.fileno() >= 0

    def is_gone(self, seconds: float = 0) -> bool:
        """Wait so long at most; tell whether the peer has closed the connection."""
        try:
            readable, _, _ = select.select([self._sock], [], [], seconds)
            return bool(readable) and not self._sock.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            raise PeerWentAway from None

    def receive_some(self) -> bytes:
        try:
            data = self._sock.recv(_RECEIVE_SIZE)
        except TimeoutError:  # only where a test has set one
            raise
        except OSError:
            raise PeerWentAway from None
        if not data:
            raise PeerWentAway
        return data

    def read_at_most(self, size: int) -> bytes:
        data = self._buffer or self.receive_some()
        data, self._buffer = data[:size], data[size:]
        return data

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self.receive_some()
        return self.read_at_most(size) if size else b""

    def read_line(self) -> bytes:
        return self._read_through(b"\r\n")

    def read_head(self) -> bytes:
        return self._read_through(b"\r\n\r\n")

    def _read_through(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            self._buffer += self.receive_some()
        return self.read(found + len(end))


@dataclass(frozen=True)
class Event:
    """One event, as `GET .../next` answers it."""

    request_id: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def response(self) -> bytes:
        return response(200, self.body, self.headers)


def response(status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A whole HTTP/1.1 response with a Content-Length."""
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def hand_out_event(exchange: Exchange) -> None:
    """Answer a poll with the next event, whenever there is one."""
    exchange.read_body()
    exchange.send(exchange.take_event().response)


def reply(status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Script:
    """Read the request to its end and answer it."""
    return reply_bytes(response(status, body, headers))


def reply_bytes(data: bytes) -> Script:
    """Read the request to its end and send these very bytes."""

    def script(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(data)

    return script


def hang_up(exchange: Exchange) -> None:
    """Read the request to its end and close the connection without a word."""
    exchange.read_body()
    exchange.hang_up()


ACCEPTED = reply(202, b'{"status":"OK"}', [("Content-Type", "application/json")])
NOT_FOUND = reply(404, b"404 page not found", [("Content-Type", "text/plain")])


class FakeRuntimeApi:
    """The Runtime API at `address` (host:port), from the moment it is made until `close`."""

    def __init__(self) -> None:
        self.change = threading.Condition()
        """Notified whenever a request or a part of one has come."""
        self.requests: list[Request] = []
        self.failures: list[BaseException] = []
        """What went wrong in scripts; a test should find none."""
        self._plans: list[tuple[str, Script]] = []
        self._events: deque[Event] = deque()
        self._connections: list[Connection] = []
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the listener and every connection: from now on connections are refused."""
        with self.changing():
            self._is_closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()

    def close_connections(self) -> None:
        """Close every connection, idle or not, as a peer does that has been restored from a snapshot."""
        for connection in self._connections:
            connection.close()

    @property
    def open_connections(self) -> int:
        """How many connections to it are open at both ends."""
        return sum(1 for connection in self._connections if connection.is_open and not connection.is_gone())

    def plan(self, ending: str, *scripts: Script) -> None:
        """The next requests whose target ends so are answered by these scripts, one each."""
        with self.change:
            self._plans += [(ending, script) for script in scripts]

    def invoke(
        self,
        body: bytes = b"{}",
        *,
        request_id: str = "",
        seconds: float | None = 60.0,
        headers: Iterable[tuple[str, str]] = (),
    ) -> str:
        """Put an event in the queue and return its request id.

        The deadline is `seconds` from now; None: no deadline is told. `headers` come on top.
        """
        request_id = request_id or str(uuid.uuid4())
        all_headers = [("Content-Type", "application/json"), ("Lambda-Runtime-Aws-Request-Id", request_id)]
        if seconds is not None:
            all_headers.append(("Lambda-Runtime-Deadline-Ms", str(int((time.time() + seconds) * 1000))))
        with self.changing():
            self._events.append(Event(request_id, [*all_headers, *headers], body))
        return request_id

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change something that is waited for."""
        with self.change:
            yield
            self.change.notify_all()

    def to(self, ending: str) -> list[Request]:
        """The requests so far whose target ends so."""
        with self.change:
            return [request for request in self.requests if request.target.endswith(ending)]

    def wait_for(self, happened: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Wait until `happened`, which is asked again whenever something has come."""
        with self.change:
            if not self.change.wait_for(happened, patience):
                raise TimeoutError(f"{what} did not happen within {patience} s; so far: {self.requests}")

    def await_request(self, ending: str, nth: int = 1) -> Request:
        """Wait until the head of the nth request whose target ends so has come, and return it."""
        self.wait_for(lambda: len(self.to(ending)) >= nth, f"request {nth} to {ending}")
        return self.to(ending)[nth - 1]

    def await_whole_request(self, ending: str, nth: int = 1) -> Request:
        """Wait until the nth request whose target ends so has come to its end, and return it."""
        request = self.await_request(ending, nth)
        self.wait_for(lambda: request.whole, f"the end of request {nth} to {ending}")
        return request

    def take_event(self, connection: Connection) -> Event:
        """Wait for an event for this connection. Raises PeerWentAway when either is closed."""
        with self.change:
            while not self._is_closed and not connection.is_gone():
                if self._events:
                    return self._events.popleft()
                self.change.wait()
        raise PeerWentAway

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(sock)
            self._connections.append(connection)
            number += 1
            threading.Thread(target=self._serve, args=[connection, number], daemon=True).start()

    def _serve(self, connection: Connection, number: int) -> None:
        try:
            while connection.is_open:
                request = Request(connection=number, head=connection.read_head(), received=time.time())
                with self.changing():
                    self.requests.append(request)
                    script = self._script_for(request)
                script(Exchange(self, connection, request))
        except PeerWentAway:
            pass
        except Exception as failure:  # noqa: BLE001 - it is for the test to raise, not for this thread
            self.failures.append(failure)
        finally:
            connection.close()

    def _script_for(self, request: Request) -> Script:
        for plan in self._plans:
            ending, script = plan
            if request.target.endswith(ending):
                self._plans.remove(plan)
                return script
        if request.target == NEXT:
            return hand_out_event
        if request.method == "POST" and "/runtime/" in request.target:
            return ACCEPTED
        return NOT_FOUND


@contextmanager
def fake_runtime_api() -> Iterator[FakeRuntimeApi]:
    """A Runtime API for as long as the context lasts; raises what went wrong in its scripts."""
    api = FakeRuntimeApi()
    try:
        yield api
    finally:
        api.close()
    if api.failures:
        raise api.failures[0]
