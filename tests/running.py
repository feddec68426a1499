"""The real runner as a real process, and the test in the place of the handler's runtime client.

The handler is by default a shell that says where it was told to find the Runtime API and then waits for the status
to end with. The test makes the handler's connections itself, and so decides what comes when. What the runner tells
its observer, and what it says, is collected in the background and can be waited for.
"""

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fake_runtime_api import NEXT, PATIENCE, Connection, FakeRuntimeApi, PeerWentAway, answer_path

PREFIX = "AWS_LAMBDA_POST_RUNNER_"
RUNNER = shlex.split(os.environ.get("POST_RUNNER_TESTED", "")) or [
    sys.executable,
    "-m",
    "aws_lambda_post_runner",
]
"""The command that runs the runner. `POST_RUNNER_TESTED` names another one: the executable that is shipped."""
HANDLERS = Path(__file__).parent / "handlers"

WAITING_HANDLER = ["sh", "-c", 'echo "$AWS_LAMBDA_RUNTIME_API"; read -r status; exit "$status"']

Record = dict[str, Any]
"""One JSON line of the runner's."""


def python_handler(name: str) -> list[str]:
    """The command line of the handler `name` in tests/handlers."""
    return [sys.executable, "-S", str(HANDLERS / name)]


@dataclass
class Response:
    """What came back to the handler."""

    head: bytes
    body: bytes = b""
    trailers: bytes = b""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def get(self, name: str) -> str:
        """The value of the first header of this name, whatever its case; empty if there is none."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return ""


class HandlerConnection:
    """A connection that a handler's runtime client makes. Reading raises PeerWentAway or TimeoutError."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=PATIENCE)
        self._connection = Connection(self.sock)

    def send(self, data: bytes) -> None:
        """Send these very bytes."""
        self._connection.send(data)

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a request with a Content-Length."""
        lines = [f"{method} {target} HTTP/1.1", "Host: runtime-api"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def read_head(self) -> Response:
        """The head of the next response, informational or not; its body is left unread."""
        return Response(self._connection.read_head())

    def read_response(self) -> Response:
        """The next response, with its whole body."""
        response = self.read_head()
        if response.status < 200:
            return response
        if response.get("Transfer-Encoding") == "chunked":
            self._read_chunks(response)
        elif response.get("Content-Length"):
            response.body = self._connection.read(int(response.get("Content-Length")))
        elif response.status != 204:
            response.body = self.receive_rest()
        return response

    def _read_chunks(self, response: Response) -> None:
        while chunk := self.read_chunk():
            response.body += chunk
        response.trailers = self.read_trailers()

    def read_chunk(self) -> bytes:
        """The next chunk of a body; empty: the last one."""
        size = int(self._connection.read_line(), 16)
        if not size:
            return b""
        chunk = self._connection.read(size)
        self._connection.read(2)
        return chunk

    def read_trailers(self) -> bytes:
        """The lines after the last chunk."""
        trailers = b""
        while (line := self._connection.read_line()) != b"\r\n":
            trailers += line
        return trailers

    def exchange(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request and read its response."""
        self.ask(method, target, body, headers)
        return self.read_response()

    def receive_rest(self) -> bytes:
        """All that still comes until the peer closes the connection."""
        rest = b""
        with suppress(PeerWentAway):
            while True:
                rest += self._connection.read_at_most(1 << 20)
        return rest

    def begin_stream(self, target: str, headers: str = "") -> None:
        """Begin to answer in chunks, as runtime clients do that stream."""
        streaming = "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        lines = f"POST {target} HTTP/1.1\r\nHost: x\r\n{streaming}{headers}Transfer-Encoding: chunked\r\n\r\n"
        self.send(lines.encode())

    def send_chunk(self, data: bytes) -> None:
        """Send a piece of what was begun."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_stream(self, trailers: bytes = b"") -> None:
        """End it, with these lines as trailers."""
        self.send(b"0\r\n" + trailers + b"\r\n")

    def send_poll(self) -> None:
        """Ask for the next event, without waiting for it."""
        self.ask("GET", NEXT)

    def poll(self) -> str:
        """Ask for the next event, wait for it and return its request id."""
        self.send_poll()
        return self.read_event()

    def read_event(self) -> str:
        """Wait for the event that was asked for and return its request id."""
        response = self.read_response()
        assert response.status == 200, response
        return response.get("Lambda-Runtime-Aws-Request-Id")

    def answer(self, request_id: str, body: bytes = b"{}") -> Response:
        """Answer an invocation; return the acknowledgement."""
        return self.exchange("POST", answer_path(request_id), body)

    def answer_error(self, request_id: str, error_type: str = "Function.Broken") -> Response:
        """Answer an invocation with an error; return the acknowledgement."""
        headers = {"Lambda-Runtime-Function-Error-Type": error_type}
        return self.exchange("POST", answer_path(request_id, "error"), b"{}", headers)

    def is_quiet(self) -> bool:
        """Nothing has come that was not read, and the connection is open."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)
        return False

    def is_closed_by_peer(self) -> bool:
        """Wait for the peer to close the connection; False if it sends something instead."""
        try:
            self._connection.receive_some()
        except PeerWentAway:
            return True
        return False

    def say_no_more(self) -> None:
        """Close the sending half of the connection, as `nc -N` does."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._connection.close()

    def reset(self) -> None:
        """Close it with a TCP reset."""
        self._connection.reset()


class Collector:
    """Reads a descriptor to its end in the background; the lines can be waited for."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._change = threading.Condition()
        self._lines: list[str] = []
        self._unfinished = b""
        self._ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while not self._ended:
            select.select([self._descriptor], [], [])
            self._take_what_has_come()
        os.close(self._descriptor)

    def _take_what_has_come(self) -> None:
        with self._change:
            while not self._ended:
                try:
                    data = os.read(self._descriptor, 1 << 16)
                except BlockingIOError:
                    return
                self._ended = not data
                *whole, self._unfinished = (self._unfinished + data).split(b"\n")
                if self._ended and self._unfinished:
                    whole.append(self._unfinished)
                self._lines += [line.decode(errors="replace") for line in whole]
                self._change.notify_all()

    @property
    def lines(self) -> list[str]:
        """All that was written up to now."""
        self._take_what_has_come()
        with self._change:
            return self._lines.copy()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def await_line(self, fits: Callable[[str], bool], nth: int = 1) -> str:
        """Wait for the nth line that fits and return it."""
        with self._change:
            if self._change.wait_for(lambda: sum(map(fits, self._lines)) >= nth, PATIENCE):
                return [line for line in self._lines if fits(line)][nth - 1]
        raise TimeoutError("the line did not come; so far:\n" + self.text)

    def finish(self) -> None:
        """Wait until all has been read."""
        self._thread.join(PATIENCE)


class Gate:
    """Where a post command waits until the test lets it go on: it runs `gate.wait`.

    One that is never let go on, but has set a trap, runs `gate.wait_for_a_trap`.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR)
        self.wait = f"read -r _ < {path}"
        # Bash runs a trap between two commands, but not when the signal comes just before a read that waits.
        self.wait_for_a_trap = f"while :; do read -t 0.1 -r _ < {path}; done"

    def release(self, times: int = 1) -> None:
        """Let go on as many as wait, or will wait."""
        os.write(self._descriptor, b"\n" * times)

    def close(self) -> None:
        os.close(self._descriptor)


class Running:
    """A runner that was started, with all that it says. Owned by the `start` fixture, which ends it."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        stdout: int = subprocess.PIPE,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._connections: list[HandlerConnection] = []
        observer, told = os.pipe()
        own = {PREFIX + "OBSERVER_FD": str(told), "TEST_MARK": self._mark}
        self.process = subprocess.Popen(
            argv,
            env={**plain_environment(), **own, **environment},
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=[told, *descriptors],
            start_new_session=True,
        )
        os.close(told)
        self.observed = Collector(observer)
        self.stderr = Collector(_take(self.process.stderr))
        self.stdout = Collector(_take(self.process.stdout)) if stdout == subprocess.PIPE else None

    @property
    def address(self) -> tuple[str, int]:
        """Where the handler finds the Runtime API: for a handler that says so, as WAITING_HANDLER does."""
        return parse(self.await_output("127.0.0.1:"))

    def connect(self, to: str = "") -> HandlerConnection:
        """A connection as the handler would make it; closed with the runner at the latest.

        `to` is where the handler was told to connect (host:port), if it says so elsewhere than on `stdout`.
        """
        connection = HandlerConnection(parse(to) if to else self.address)
        self._connections.append(connection)
        return connection

    def events(self, name: str, request_id: str = "") -> list[Record]:
        """What the observer has been told so far of this kind, and of this invocation if one is named."""
        records: list[Record] = [json.loads(line) for line in self.observed.lines]
        return [
            each
            for each in records
            if each["event"] == name and (not request_id or each.get("requestId") == request_id)
        ]

    def await_event(self, name: str, request_id: str = "", nth: int = 1) -> Record:
        """Wait until the observer is told this for the nth time."""

        def fits(line: str) -> bool:
            record = json.loads(line)
            return bool(record["event"] == name and (not request_id or record.get("requestId") == request_id))

        record: Record = json.loads(self.observed.await_line(fits, nth))
        return record

    def await_output(self, beginning: str) -> str:
        """Wait for a line on standard output that begins so, and return it."""
        assert self.stdout is not None
        return self.stdout.await_line(lambda line: line.startswith(beginning))

    def said(self) -> str:
        """All that went to standard error, of a runner that has ended."""
        self.stderr.finish()
        return self.stderr.text

    def end_handler(self, status: int = 0) -> None:
        """Let WAITING_HANDLER exit with this status."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{status}\n".encode())
            self.process.stdin.flush()

    def wait(self) -> int:
        """Wait until the runner has ended, and all that it said has been read; return its status as a shell has it."""
        code = self.process.wait(PATIENCE)
        self.observed.finish()
        return 128 - code if code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the runner alone."""
        self.process.send_signal(number)

    def memory(self) -> int:
        """The runner's resident memory, in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def open_descriptors(self) -> int:
        """How many descriptors the runner has open."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def processes(self) -> list[int]:
        """The ids of all processes that this runner started and that live, the runner's own among them."""
        return [pid for pid in _all_processes() if _is_alive(pid) and self._mark in _environment_of(pid)]

    def close(self) -> None:
        """End the runner and everything that it started and left behind."""
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            # Not both at once: a signal that comes when the handler has ended would kill the runner on its way out,
            # while it writes what coverage has measured.
            if not self.events("handler-ended"):
                self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.end_handler()  # one that does not heed the signal
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.observed.finish()
        self.stderr.finish()
        if self.stdout is not None:
            self.stdout.finish()


def parse(address: str) -> tuple[str, int]:
    """Host and port from host:port."""
    host, _, port = address.partition(":")
    return host, int(port)


def plain_environment() -> dict[str, str]:
    """What a process needs, without whatever AWS_ variables this one has; coverage measures the runner too."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "PYENV_VERSION", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if name.startswith(kept)}


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for something of which nobody tells: looks again and again until it has happened."""
    ends = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what} did not happen within {PATIENCE} s")
        time.sleep(0.002)


def _take(stream: Any) -> int:
    """A descriptor of our own in the place of a stream that subprocess opened."""
    descriptor = os.dup(stream.fileno())
    stream.close()
    return descriptor


def _all_processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _environment_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def script_in(folder: Path) -> Path:
    """What the post command of a stage with this folder runs."""
    return folder / "post-command.sh"


class Stage:
    """A Runtime API, a runner between, and the test as the handler: what most tests need."""

    def __init__(self, runtime_api: FakeRuntimeApi, runner: Running, folder: Path) -> None:
        self.runtime_api = runtime_api
        self.runner = runner
        self.folder = folder
        """Of this test's own; commands can leave there what they saw."""

    def run_after(self, commands: str) -> None:
        """From now on the post command runs these commands."""
        script_in(self.folder).write_text(commands)

    def next_invocation(self, handler: HandlerConnection, **event: Any) -> str:
        """Let the Runtime API have an event and the handler poll for it; return its request id."""
        request_id = self.runtime_api.invoke(**event)
        assert handler.poll() == request_id
        return request_id
