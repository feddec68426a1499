"""The soak's Runtime API: hands out the planned invocations, disturbs them as planned, and keeps the accounts."""

import json
import os
import random
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import trio

from .plan import REFUSALS, Plan

LINE = 32
"""Bytes of the line that each post command leaves behind, so that they can be counted by their file's size."""
SAMPLES = 40
"""How often the runner is looked at."""
PATIENCE = 10.0
"""Seconds. By then the runner has closed what its ends have closed."""

_LARGE = 1_000_000
_TAKEN = b'{"status":"OK"}'


class Gone(Exception):
    """The peer has closed the connection."""


class Connection:
    """A connection from the runner, read with a buffer. Raises Gone."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = b""

    async def read_head(self) -> tuple[bytes, bytes, dict[bytes, bytes]]:
        """Method, target, and headers by their name in lower case."""
        start, *lines = (await self._read_until(b"\r\n\r\n")).split(b"\r\n")
        method, target, _ = start.split(b" ")
        fields = [line.partition(b": ") for line in lines]
        return method, target, {name.lower(): value for name, _, value in fields}

    async def read_body(self, headers: dict[bytes, bytes]) -> None:
        """Read the body to its end."""
        if headers.get(b"transfer-encoding") != b"chunked":
            await self._read(int(headers.get(b"content-length", b"0")))
            return
        while size := int(await self._read_until(b"\r\n"), 16):
            await self._read(size + 2)
        while await self._read_until(b"\r\n"):
            pass

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            raise Gone from None

    async def send_with_end(self, data: bytes) -> None:
        """Send the last data with the end of the connection in one packet, so that nobody can come between."""
        self._stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await self.send(data)
        await self._stream.send_eof()
        await self.close()

    async def close(self) -> None:
        await self._stream.aclose()

    async def _read_until(self, end: bytes) -> bytes:
        while end not in self._received:
            await self._receive()
        data, _, self._received = self._received.partition(end)
        return data

    async def _read(self, size: int) -> None:
        while len(self._received) < size:
            size -= len(self._received)
            self._received = b""
            await self._receive()
        self._received = self._received[size:]

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Gone from None
        if not data:
            raise Gone
        self._received += data


class RuntimeApi:
    """Serves connections of one runner. `problems` has what was not as it should be, in words."""

    def __init__(self, plans: Iterator[Plan], count: int, seed: int, log: int, at_once: int) -> None:
        self.handed_out: list[int] = []
        """The numbers of the invocations whose event was sent, in order."""
        self.accepted: Counter[str] = Counter()
        """How often an answer was accepted, by the line that its post command leaves."""
        self.kinds: Counter[str] = Counter()
        """How often what was drawn, but for `plain`."""
        self.problems: list[str] = []
        self.samples: list[tuple[int, int]] = []
        """Descriptors and bytes of resident memory of the runner, taken when it polls."""
        self.runner_pid = 0
        self._plans = plans
        self._next = next(plans, None)
        self._previous: Plan | None = None
        self._sample_every = max(1, count // SAMPLES)
        self._chance = random.Random(seed)  # noqa: S311 - nobody has to be surprised by it
        self._log = log
        self._at_once = at_once
        self._at_rest = 0
        """The descriptors of the runner when the first poll comes."""
        self._kept_back = 0
        self._withheld: set[int] = set()
        self._unanswered: defaultdict[str, list[Plan]] = defaultdict(list)
        self._accepted_so_far = 0
        self._told: defaultdict[str, trio.Event] = defaultdict(trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        connection = Connection(stream)
        with suppress(Gone, trio.ClosedResourceError):
            while True:
                await self._exchange(connection)
        await connection.close()

    async def _exchange(self, connection: Connection) -> None:
        method, target, headers = await connection.read_head()
        match method, target.decode().split("/")[1:]:
            case b"GET", ["2018-06-01", "runtime", "invocation", "next"]:
                await self._keep_back(headers)
                await self._hand_out(connection)
            case b"POST", ["2018-06-01", "runtime", "invocation", request_id, "response" | "error"]:
                await self._take(connection, headers, request_id)
            case b"GET", ["2018-06-01", "runtime", "restore", "next"]:
                await self._send(connection, "plain", 200, b"", b"")
            case b"GET", ["soak", "rest", number]:
                await self._see_at_rest(number)
                await self._send(connection, "plain", 200, b"", b"")
            case b"GET", ["soak", what, number]:
                await self._be_told(connection, what, number)
            case _:
                self.problems.append(f"{method!r} {target!r} was forwarded")
                await connection.close()

    async def _be_told(self, connection: Connection, what: str, number: str) -> None:
        told = self._told[f"{what}/{number}"]
        if what in ("dropped", "wait-ends"):
            told.set()
        await told.wait()
        if what == "answered":
            del self._told[f"{what}/{number}"]
        await self._send(connection, "plain", 200, b"", b"")

    async def _keep_back(self, headers: dict[bytes, bytes]) -> None:
        """Leave a poll without an event until its handler has dropped it, if it says that it will."""
        number = headers.get(b"x-soak-dropped-after", b"").decode()
        if number:
            self._told[f"poll-arrived/{number}"].set()
            await self._told[f"dropped/{number}"].wait()
            self._forget(int(number))

    async def _hand_out(self, connection: Connection) -> None:
        previous = self._previous
        if self._at_once == 1:
            self._check_turn(previous)
        if self._at_once == 1 and previous is not None:
            self._told[f"poll-arrived/{previous.number}"].set()
            if previous.handler.startswith("drops its poll"):
                await self._wait_for_drop(previous)
        plan = self._next
        if plan is None:
            await self._send(connection, "plain", 200, b"", b'{"number":null}')
            return
        if plan.event == "none" and plan.number not in self._withheld:
            self._withheld.add(plan.number)
            await connection.close()
            raise Gone
        if self._at_once == 1 and previous is not None:  # others may still be under way
            self._forget(previous.number)
        self._next, self._previous = next(self._plans, None), plan
        self._unanswered[plan.request_id].append(plan)
        self.handed_out.append(plan.number)
        self.kinds.update(plan.kinds)
        if plan.number % self._sample_every == 0:
            self.samples.append(look_at(self.runner_pid))
        await self._send(connection, plan.event, 200, self._event_headers(plan), _event(plan))

    async def _wait_for_drop(self, previous: Plan) -> None:
        """Keep the event back until the handler has dropped its poll; the poll that it makes then must not come."""
        self._kept_back += 1
        if self._kept_back > 1:
            self.problems.append(f"two polls at once after {previous}")
        await self._told[f"dropped/{previous.number}"].wait()
        self._kept_back -= 1

    async def _see_at_rest(self, number: str) -> None:
        """The runner has no more descriptors than at the first poll: one connection on each side, and its own."""
        with trio.move_on_after(PATIENCE):
            while look_at(self.runner_pid)[0] != self._at_rest:  # noqa: ASYNC110 - nobody tells when it closes one
                await trio.sleep(0.01)
            return
        count = look_at(self.runner_pid)[0]
        self.problems.append(f"{count} descriptors instead of {self._at_rest} at rest after {number}")

    def _check_turn(self, previous: Plan | None) -> None:
        """A poll comes when nothing is in flight, and the post work of all that was answered is done."""
        if previous is None:
            self._at_rest = self._at_rest or look_at(self.runner_pid)[0]
            return
        if self._unanswered:
            self.problems.append(f"a poll while an invocation is in flight: {previous}")
        ended = os.fstat(self._log).st_size // LINE
        if ended != self._accepted_so_far:
            self.problems.append(
                f"a poll after {self._accepted_so_far} answers and {ended} commands: {previous}"
            )
        waited = previous.handler == "waits" and previous.status == 202
        if waited and not self._told[f"wait-ends/{previous.number}"].is_set():
            self.problems.append(f"a poll before the wait had ended: {previous}")

    def _forget(self, number: int) -> None:
        for what in ("dropped", "poll-arrived", "wait-ends"):
            self._told.pop(f"{what}/{number}", None)

    @staticmethod
    def _event_headers(plan: Plan) -> bytes:
        # With the same id and the same deadline it would be the same invocation, handed out again.
        deadline = int((time.time() + plan.seconds) * 1000) + plan.number % 1000
        return (
            b"Content-Type: application/json\r\n"
            b"Lambda-Runtime-Aws-Request-Id: %b\r\n"
            b"Lambda-Runtime-Deadline-Ms: %d\r\n" % (plan.request_id.encode(), deadline)
        )

    async def _take(self, connection: Connection, headers: dict[bytes, bytes], request_id: str) -> None:
        plan = next(iter(self._unanswered.get(request_id, [])), None)
        if plan is not None and plan.answer == "413 early":
            self._answered(plan)
            await self._send(connection, "closes", 413, b"", b"")
            raise Gone
        await connection.read_body(headers)
        if plan is None:
            await self._send(connection, "plain", 400, b"", b'{"errorType":"InvalidRequestID"}')
            return
        if plan.status == 202:
            self.accepted[f"{request_id} {plan.outcome}"] += 1
            self._accepted_so_far += 1
        self._answered(plan)
        match plan.answer:
            case "none":
                await connection.close()
            case "malformed":
                await connection.send(
                    b"HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n Content-Length: 2\r\n\r\n{}"
                )
                await connection.close()
            case refusal if refusal in REFUSALS:
                await self._send(connection, "plain", REFUSALS[refusal], b"", b'{"errorType":"Refused"}')
            case form:
                await self._send(connection, form, 202, b"Content-Type: application/json\r\n", _TAKEN)

    def _answered(self, plan: Plan) -> None:
        unanswered = self._unanswered[plan.request_id]
        unanswered.remove(plan)
        if not unanswered:
            del self._unanswered[plan.request_id]
        if plan.handler == "hangs up before the acknowledgement":
            self._told[f"answered/{plan.number}"].set()

    async def _send(
        self, connection: Connection, form: str, status: int, headers: bytes, body: bytes
    ) -> None:
        start = b"HTTP/1.1 %d So\r\n" % status + headers
        rest = b"Content-Length: %d\r\n\r\n" % len(body) + body
        match form:
            case "chunked":
                chunk = b"%x\r\n%b\r\n" % (len(body), body)
                await connection.send(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
            case "closes":
                await connection.send(start + b"Connection: close\r\n" + rest)
                await connection.close()
            case "goes stale":
                await connection.send_with_end(start + rest)
            case "HTTP/1.0":
                await connection.send_with_end(start.replace(b"1.1", b"1.0") + b"\r\n" + body)
            case "early hints":
                await connection.send(b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + start + rest)
            case "in pieces":
                await self._send_in_pieces(connection, start + rest)
            case _:
                await connection.send(start + rest)

    async def _send_in_pieces(self, connection: Connection, data: bytes) -> None:
        while data:
            size = self._chance.choice([1, 1, 2, 20, 100])
            await connection.send(data[:size])
            data = data[size:]


def _event(plan: Plan) -> bytes:
    event = {
        "number": plan.number,
        "id": plan.request_id,
        "handler": plan.handler,
        "status": plan.status,
        "padding": "x" * _LARGE if plan.event == "large" else "",
    }
    return json.dumps(event).encode()


def look_at(pid: int) -> tuple[int, int]:
    """The descriptors and the resident memory in bytes of a process."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    return sum(1 for _ in (process / "fd").iterdir()), pages * os.sysconf("SC_PAGE_SIZE")
