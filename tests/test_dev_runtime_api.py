"""The embedded Runtime API and its invoke endpoint refuse, repeat and pass on as the real ones do."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import pytest
import trio

from aws_lambda_post_runner.dev.emulator.http import Disconnected, Reply, ask
from aws_lambda_post_runner.dev.emulator.invocations import PAYLOAD_LIMIT_BYTES, Invocation, Pending
from aws_lambda_post_runner.dev.emulator.invoke_endpoint import INVOKE_PATH, InvokeEndpoint
from aws_lambda_post_runner.dev.emulator.runtime_api import Function, RuntimeApi
from aws_lambda_post_runner.dev.moments import Moment, Recorder
from aws_lambda_post_runner.invocation import Outcome

RUNTIME = "/2018-06-01/runtime"
NEXT = f"GET {RUNTIME}/invocation/next"
INIT_ERROR = f"POST {RUNTIME}/init/error"


@dataclass
class RecordingHost:
    """A host that notes what it is told."""

    told: list[str] = field(default_factory=list)
    news: trio.Event = field(default_factory=trio.Event)

    def polled(self) -> None:
        self.hear("polled")

    def idle(self) -> None:
        self.hear("idle")

    def handed(self, _: Invocation) -> None:
        self.hear("handed")

    def settled(self, _: Invocation, outcome: Outcome) -> None:
        self.hear(outcome.value)

    def note(self, moment: Moment) -> None:
        """Hear of what is recorded, too."""
        self.hear(moment.what)

    def hear(self, what: str) -> None:
        self.told.append(what)
        self.news.set()
        self.news = trio.Event()

    async def has_heard(self, what: str, times: int = 1) -> None:
        """Return when it has been told something so many times."""
        while self.told.count(what) < times:
            await self.news.wait()


class Asking:
    """A request under way."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._reply: Reply | None = None
        self._part, self.parts = trio.open_memory_channel[bytes](100)

    async def ask(self, address: str, line: str, body: str) -> None:
        with contextlib.suppress(Disconnected):
            self._reply = await ask(address, line, body.encode(), on_part=self._part.send_nowait)
        self._done.set()

    async def reply(self) -> Reply:
        """Wait for its answer."""
        await self._done.wait()
        assert self._reply is not None
        return self._reply

    async def is_cut(self) -> bool:
        """Wait for its end; tell whether the answer was cut short."""
        await self._done.wait()
        return self._reply is None


@dataclass
class Stage:
    """A Runtime API and an invoke endpoint on loopback, and what they recorded."""

    runtime_api: str
    endpoint: str
    api: RuntimeApi
    host: RecordingHost
    moments: list[Moment]
    nursery: trio.Nursery

    async def invoke(self, event: str = "{}", **headers: str) -> Reply:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await ask(self.endpoint, f"POST {INVOKE_PATH}", event.encode(), named)

    def start_invoke(self, event: str = "{}") -> "Asking":
        """Invoke in the background."""
        return self._start(self.endpoint, f"POST {INVOKE_PATH}", event)

    def start_next(self) -> "Asking":
        """Poll in the background."""
        return self._start(self.runtime_api, NEXT, "")

    def _start(self, address: str, line: str, body: str) -> "Asking":
        asking = Asking()
        self.nursery.start_soon(asking.ask, address, line, body)
        return asking

    async def next(self) -> tuple[Reply, str]:
        """Poll; return the event and its request id."""
        with trio.fail_after(5):
            reply = await ask(self.runtime_api, NEXT)
        return reply, reply.headers["lambda-runtime-aws-request-id"]

    async def respond(self, request_id: str, body: bytes = b"{}", outcome: str = "response") -> Reply:
        path = f"{RUNTIME}/invocation/{request_id}/{outcome}"
        return await ask(self.runtime_api, f"POST {path}", body, [("Content-Type", "application/json")])


@asynccontextmanager
async def stage(*, concurrent: bool = False) -> AsyncIterator[Stage]:
    moments: list[Moment] = []
    pending, host = Pending(), RecordingHost()
    recorder = Recorder(moments.append, host.note)
    function = Function(
        "arn:aws:lambda:us-east-1:012345678912:function:f", timeout_s=3, concurrent=concurrent
    )
    api = RuntimeApi(function, pending, recorder, host)
    addresses: list[str] = []
    async with trio.open_nursery() as nursery:
        for serve in (api.serve, InvokeEndpoint(pending, recorder).serve):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            addresses.append(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        yield Stage(addresses[0], addresses[1], api, host, moments, nursery)
        nursery.cancel_scope.cancel()


def played(*, concurrent: bool = False) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[], None]]:
    """Make a test of a scene: run it on a stage of its own, for 20 s at most."""

    def decorate(scene: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
        async def play() -> None:
            with trio.fail_after(20):
                async with stage(concurrent=concurrent) as on:
                    await scene(on)

        def test() -> None:
            trio.run(play)

        test.__name__ = scene.__name__
        return test

    return decorate


def error_type(reply: Reply) -> str:
    return str(json.loads(reply.body)["errorType"])


def record(on: Stage, what: str) -> list[Moment]:
    return [moment for moment in on.moments if moment.what == what]


@played()
async def test_an_event_reaches_the_handler_with_what_its_caller_said(on: Stage) -> None:
    context = base64.b64encode(b'{"client": {"app": 1}}').decode()
    headers = [
        ("X-Amz-Client-Context", context),
        ("X-Amzn-Trace-Id", "Root=1-a-b"),
        ("X-Amz-Tenant-Id", "blue"),
    ]
    on.nursery.start_soon(ask, on.endpoint, f"POST {INVOKE_PATH}", b'{"a": 1}', headers)
    event, _ = await on.next()
    assert (event.status, event.body) == (200, b'{"a": 1}')
    assert json.loads(event.headers["lambda-runtime-client-context"]) == {"client": {"app": 1}}
    assert event.headers["lambda-runtime-trace-id"] == "Root=1-a-b"
    assert event.headers["lambda-runtime-aws-tenant-id"] == "blue"
    assert event.headers["lambda-runtime-invoked-function-arn"].endswith(":function:f")
    assert event.headers["lambda-runtime-deadline-ms"].isdigit()
    assert event.headers["content-type"] == "application/json"


@played()
async def test_the_headers_of_an_event_keep_the_case_that_lambda_writes(on: Stage) -> None:
    on.start_invoke()
    host, _, port = on.runtime_api.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"GET {RUNTIME}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await stream.receive_some()
    assert b"\r\nLambda-Runtime-Aws-Request-Id: " in head
    assert b"\r\nLambda-Runtime-Deadline-Ms: " in head


@played()
async def test_the_caller_has_its_answer_as_soon_as_it_is_complete_and_not_at_the_next_poll(
    on: Stage,
) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    accepted = await on.respond(request_id, b'{"b": 2}')
    assert (accepted.status, json.loads(accepted.body)) == (202, {"status": "OK"})
    reply = await caller.reply()
    assert (reply.status, reply.body) == (200, b'{"b": 2}')
    assert reply.headers["x-amzn-requestid"] == request_id
    assert reply.headers["x-amz-executed-version"] == "$LATEST"
    assert "x-amz-function-error" not in reply.headers
    assert record(on, "ended") == []


@played()
async def test_an_error_of_the_handler_is_a_function_error_for_the_caller(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    body = b'{"errorMessage": "no", "errorType": "No"}'
    assert (await on.respond(request_id, body, "error")).status == 202
    reply = await caller.reply()
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["x-amz-function-error"] == "Unhandled"
    assert record(on, "settled")[0].details == {"outcome": "error", "errorType": "No"}


@pytest.mark.parametrize("body", [b"not json", b"[]", b"{}"])
def test_an_error_whose_body_names_no_type_has_an_unknown_type(body: bytes) -> None:
    @played()
    async def scene(on: Stage) -> None:
        on.start_invoke()
        _, request_id = await on.next()
        await on.respond(request_id, body, "error")
        assert record(on, "settled")[0].details["errorType"] == "Unknown"

    scene()


@played()
async def test_a_poll_before_the_answer_gets_the_same_event_again(on: Stage) -> None:
    on.start_invoke('{"n": 1}')
    on.start_invoke('{"n": 2}')
    first, first_id = await on.next()
    again, again_id = await on.next()
    assert (first.body, first_id) == (again.body, again_id)


@played()
async def test_the_poll_after_the_answer_ends_the_invocation_and_gets_the_next_event(on: Stage) -> None:
    on.start_invoke('{"n": 1}')
    _, first_id = await on.next()
    await on.respond(first_id)
    on.start_invoke('{"n": 2}')
    event, _ = await on.next()
    assert event.body == b'{"n": 2}'
    assert record(on, "ended")[0] == Moment("ended", record(on, "ended")[0].time, first_id, {"how": "polled"})


@played()
async def test_a_poll_with_nothing_pending_is_told_as_idle(on: Stage) -> None:
    on.nursery.start_soon(ask, on.runtime_api, NEXT)
    await on.host.has_heard("idle")
    assert on.host.told == ["polled", "idle"]
    on.start_invoke()
    await on.host.has_heard("handed")
    assert on.host.told == ["polled", "idle", "sent", "handed"]


@played()
async def test_a_dropped_poll_does_not_take_the_next_event_with_it(on: Stage) -> None:
    host, _, port = on.runtime_api.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"GET {RUNTIME}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await on.host.has_heard("idle")
    event = on.start_next()
    await on.host.has_heard("idle", times=2)
    on.start_invoke('{"kept": 1}')
    assert (await event.reply()).body == b'{"kept": 1}'
    assert on.host.told.count("handed") == 1


@played()
async def test_an_answer_to_an_unknown_id_is_refused(on: Stage) -> None:
    reply = await on.respond("no-such-id")
    assert (reply.status, error_type(reply)) == (400, "InvalidRequestID")


@played()
async def test_a_second_answer_is_refused_as_a_wrong_state(on: Stage) -> None:
    on.start_invoke()
    _, request_id = await on.next()
    await on.respond(request_id)
    for outcome in ("response", "error"):
        reply = await on.respond(request_id, outcome=outcome)
        assert (reply.status, error_type(reply)) == (403, "InvalidStateTransition")


@played()
async def test_an_unknown_response_mode_is_refused(on: Stage) -> None:
    on.start_invoke()
    _, request_id = await on.next()
    path = f"POST {RUNTIME}/invocation/{request_id}/response"
    mode = "Lambda-Runtime-Function-Response-Mode"
    reply = await ask(on.runtime_api, path, b"{}", [(mode, "sideways")])
    assert (reply.status, error_type(reply)) == (400, "InvalidFunctionResponseMode")


@played()
async def test_a_response_that_is_too_large_is_refused_and_ends_in_an_error_for_the_caller(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    refused = await on.respond(request_id, bytes(PAYLOAD_LIMIT_BYTES + 1))
    assert (refused.status, error_type(refused)) == (413, "RequestEntityTooLarge")
    assert error_type(await caller.reply()) == "Function.ResponseSizeTooLarge"
    again = await on.respond(request_id, outcome="error")
    assert again.status == 403


@played()
async def test_an_init_error_goes_to_the_caller_that_waits_and_is_refused_after_the_first_poll(
    on: Stage,
) -> None:
    body = b'{"errorMessage": "no module", "errorType": "Runtime.ImportModuleError"}'
    caller = on.start_invoke()
    await on.host.has_heard("sent")
    assert (await ask(on.runtime_api, INIT_ERROR, body)).status == 202
    reply = await caller.reply()
    assert (reply.body, reply.headers["x-amz-function-error"]) == (body, "Unhandled")
    on.start_invoke()
    await on.next()
    assert (await ask(on.runtime_api, INIT_ERROR, body)).status == 403


@played()
async def test_an_init_error_with_no_caller_is_accepted(on: Stage) -> None:
    assert (await ask(on.runtime_api, INIT_ERROR, b"{}")).status == 202


@played()
async def test_unknown_paths_are_not_found(on: Stage) -> None:
    assert (await ask(on.runtime_api, f"GET {RUNTIME}/restore/next")).status == 404
    assert (await ask(on.endpoint, "POST /", b"{}")).status == 404


@played()
async def test_a_response_that_is_cut_short_is_an_error_for_the_caller(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    host, _, port = on.runtime_api.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        path = f"{RUNTIME}/invocation/{request_id}/response"
        await stream.send_all(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
    assert error_type(await caller.reply()) == "Runtime.TruncatedResponse"


@played()
async def test_a_streamed_response_reaches_the_caller_part_by_part_with_its_trailers(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    async with Upload.begin(on.runtime_api, request_id) as upload:
        await upload.send(b"one")
        assert await caller.parts.receive() == b"one"
        await upload.send(b"two")
        assert await caller.parts.receive() == b"two"
        assert record(on, "answered") == []
        await upload.end([("Lambda-Runtime-Function-Error-Type", "Midway")])
    await on.host.has_heard("answered")
    assert record(on, "settled")[0].details["errorType"] == "Midway"
    assert record(on, "answered")[0].details["bytes"] == 6


@played()
async def test_a_streamed_response_that_is_cut_is_cut_for_the_caller(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    async with Upload.begin(on.runtime_api, request_id) as upload:
        await upload.send(b"one")
    assert await caller.is_cut()
    assert record(on, "answered")[0].details["status"] is None


@played()
async def test_what_a_handler_has_sent_before_it_ended_reaches_the_caller(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    async with Upload.begin(on.runtime_api, request_id) as upload:
        await upload.send(b"one")
    await on.api.hear_out()
    on.api.handler_ended("Runtime exited")
    assert await caller.parts.receive() == b"one"
    assert await caller.is_cut()


@played()
async def test_an_event_invocation_lets_its_caller_go_at_once(on: Stage) -> None:
    reply = await on.invoke('{"later": 1}', X_Amz_Invocation_Type="Event")
    assert (reply.status, reply.body) == (202, b"")
    event, request_id = await on.next()
    assert event.body == b'{"later": 1}'
    assert (await on.respond(request_id)).status == 202


@played()
async def test_a_dry_run_runs_nothing(on: Stage) -> None:
    assert (await on.invoke(X_Amz_Invocation_Type="DryRun")).status == 204
    assert on.moments == []


@played()
async def test_what_a_caller_says_wrongly_is_refused(on: Stage) -> None:
    assert (await on.invoke(X_Amz_Invocation_Type="Whatever")).status == 400
    assert error_type(await on.invoke(X_Amz_Client_Context="%%%")) == "InvalidRequestContentException"
    assert (await on.invoke("x" * (PAYLOAD_LIMIT_BYTES + 1))).status == 413


@played()
async def test_a_caller_that_hangs_up_before_the_answer_does_the_handler_no_harm(on: Stage) -> None:
    host, _, port = on.endpoint.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"POST {INVOKE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        _, request_id = await on.next()
        await stream.aclose()
        assert (await on.respond(request_id, bytes(5_000_000))).status == 202
    await on.host.has_heard("answered")


@played(concurrent=True)
async def test_concurrent_polls_get_one_event_each(on: Stage) -> None:
    for number in range(16):
        on.start_invoke(str(number))
    events = [await on.next() for _ in range(16)]
    assert sorted(int(event.body) for event, _ in events) == list(range(16))
    assert len({event.headers["lambda-runtime-invocation-id"] for event, _ in events}) == 16
    assert on.host.told.count("handed") == 16


@played(concurrent=True)
async def test_an_answer_after_the_deadline_is_told_so_once(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    on.api.time_out(on.api.in_flight[request_id])
    assert error_type(await caller.reply()) == "Sandbox.Timedout"
    late = await on.respond(request_id)
    assert (late.status, error_type(late)) == (410, "InvokeTimeout")
    assert (await on.respond(request_id)).status == 400


@played(concurrent=True)
async def test_a_concurrent_invocation_without_an_accepted_answer_ends_without_a_poll(on: Stage) -> None:
    on.start_invoke()
    on.start_invoke()
    _, too_large = await on.next()
    _, cut = await on.next()
    assert (await on.respond(too_large, bytes(PAYLOAD_LIMIT_BYTES + 1))).status == 413
    async with Upload.begin(on.runtime_api, cut) as upload:
        await upload.send(b"one")
    await on.host.has_heard("ended", times=2)
    assert on.api.in_flight == {}
    assert "response" not in on.host.told


@played(concurrent=True)
async def test_a_deadline_in_the_middle_of_a_stream_cuts_it(on: Stage) -> None:
    caller = on.start_invoke()
    _, request_id = await on.next()
    async with Upload.begin(on.runtime_api, request_id) as upload:
        await upload.send(b"one")
        assert await caller.parts.receive() == b"one"
        on.api.time_out(on.api.in_flight[request_id])
        await upload.send(b"two")
        assert await upload.end([]) == 410
    assert await caller.is_cut()


@played()
async def test_a_client_that_asks_first_whether_to_send_is_told_to_go_on(on: Stage) -> None:
    on.start_invoke()
    _, request_id = await on.next()
    host, _, port = on.runtime_api.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        path = f"{RUNTIME}/invocation/{request_id}/response"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await stream.send_all(head.encode())
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"{}")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 202 ")


@played()
async def test_what_is_not_http_is_hung_up_on(on: Stage) -> None:
    host, _, port = on.runtime_api.rpartition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(b"nonsense\r\n\r\n")
        assert await stream.receive_some() == b""


@played()
async def test_a_connection_serves_one_request_after_the_other_until_it_is_closed(on: Stage) -> None:
    host, _, port = on.endpoint.rpartition(":")
    request = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n%s\r\n"
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(request % (1, b""))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 404 ")
        await stream.send_all(request % (2, b"Connection: close\r\n"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 404 ")
        assert await stream.receive_some() == b""


class Upload:
    """A streamed response under way."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT)

    @classmethod
    @asynccontextmanager
    async def begin(cls, address: str, request_id: str) -> AsyncIterator["Upload"]:
        """Send its head; cut it at the end of the block, if it has not ended."""
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            upload = cls(stream)
            await upload._begin(address, request_id)
            yield upload

    async def _begin(self, address: str, request_id: str) -> None:
        headers = [
            ("Host", address),
            ("Transfer-Encoding", "chunked"),
            ("Lambda-Runtime-Function-Response-Mode", "streaming"),
        ]
        target = f"{RUNTIME}/invocation/{request_id}/response"
        await self._send(h11.Request(method="POST", target=target, headers=headers))

    async def send(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end(self, trailers: list[tuple[str, str]]) -> int:
        """Complete it; return the status of the acknowledgement."""
        await self._send(h11.EndOfMessage(headers=trailers))
        self._h11.receive_data(bytes(await self._stream.receive_some()))
        response = self._h11.next_event()
        assert isinstance(response, h11.Response)
        return response.status_code

    async def _send(self, event: h11.Event) -> None:
        await self._stream.send_all(self._h11.send(event) or b"")
