"""Whatever bytes come from either side, split anywhere: nothing escapes, nothing hangs, nothing malformed goes on.

Each input is sent over real sockets through a relay. What comes out at the other side is read strictly
(`strict_http`) and compared with what h11 alone makes of the whole input in one piece: the relay may refuse more
than h11 does, but all that it sends on has to be that, in that order, and at most the last message cut short.

`POST_RUNNER_INPUTS` says how many inputs each test tries; `pytest --hypothesis-show-statistics` tells how many
they were.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import h11
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.invocation import Budget, Invocations, Settled
from aws_lambda_post_runner.post import handler_api
from aws_lambda_post_runner.post.attempts import Course
from aws_lambda_post_runner.post.cutting import Cutting
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.proxy import polls
from aws_lambda_post_runner.proxy.door import Door
from aws_lambda_post_runner.proxy.relay import Relay
from aws_lambda_post_runner.proxy.wire import have_no_delay
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Level, read

from .strict_http import Headers, Message, Reading, read_requests, read_responses

INPUTS = int(os.environ.get("POST_RUNNER_INPUTS", "150"))
PATIENCE = 10.0
"""Seconds after which a conversation counts as hanging; the longest takes a small part of one."""
CUSHION = 0.0005
"""Seconds. The handler waits for quiet a little longer than the Runtime API does, so that it goes after it."""

pytestmark = pytest.mark.timeout(180 + INPUTS)  # a second for each input, a hundred times what it takes

NEXT = b"/2018-06-01/runtime/invocation/next"
RESPONSE = b"/2018-06-01/runtime/invocation/8476a536/response"
TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'

Pieces = list[bytes]
Talk = Callable[[trio.SocketStream], Awaitable[None]]

tries = settings(
    max_examples=INPUTS,
    deadline=None,  # the machine may be busy; PATIENCE is the limit
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)


# Conversations: a relay with real sockets on either side.


class Conversation:
    """What came out of a relay at either side."""

    def __init__(self) -> None:
        self.connections: list[bytearray] = []
        """What the Runtime API received, by connection."""
        self.at_handler = bytearray()
        self.handler_is_cut_off = False

    @property
    def at_runtime_api(self) -> bytes:
        """The relay has one connection at a time for one handler connection, so the order is that of the bytes."""
        return b"".join(self.connections)

    async def receive_at_handler(self, handler: trio.SocketStream) -> None:
        while data := await receive(handler):
            self.at_handler += data
        self.handler_is_cut_off = True

    async def receive_at_runtime_api(self, stream: trio.SocketStream, received: bytearray) -> bytes:
        data = await receive(stream)
        received += data
        return data


async def receive(stream: trio.SocketStream) -> bytes:
    """What comes next; nothing if the peer is gone."""
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""


@pytest.fixture(autouse=True, scope="module")
def _no_poll_waits_for_an_answer() -> Iterator[None]:
    """These handlers poll without ever answering. What they send next would come while the poll before is held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polls, "_ANSWER_MAY_FOLLOW", 0.0)
        yield


async def send_pieces(stream: trio.SocketStream, pieces: Pieces, cushion: float = 0.0) -> None:
    """Send each piece only when the relay has done all it can with those before."""
    try:
        for piece in pieces:
            await stream.send_all(piece)
            await wait_all_tasks_blocked(cushion)
    except trio.BrokenResourceError:
        pass  # the relay has closed the connection


async def no_command(settled: Settled, _budget: Budget, _cutting: Cutting) -> Course:
    raise AssertionError(settled)  # in mode WaitUntil there is none


async def converse(talk: Talk, serve: Talk, conversation: Conversation) -> None:
    """Relay between a handler that does `talk` and a Runtime API that does `serve` with each connection.

    Returns when the relay has ended the handler's connection by itself, after the handler has sent its last byte.
    """
    with trio.fail_after(PATIENCE), Door() as door:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
            relay = new_relay(nursery, door, "{}:{}".format(*listeners[0].socket.getsockname()))
            handler_end, relay_end = connected_sockets()
            handler = trio.SocketStream(trio.socket.from_stdlib_socket(handler_end))
            async with handler, trio.open_nursery() as until_closed:
                until_closed.start_soon(relay.serve, door.take_in(relay_end))
                until_closed.start_soon(conversation.receive_at_handler, handler)
                await talk(handler)
                await wait_all_tasks_blocked(CUSHION)
                if not conversation.handler_is_cut_off:
                    await handler.send_eof()
            relay.close()
            nursery.cancel_scope.cancel()


def new_relay(nursery: trio.Nursery, door: Door, address: str) -> Relay:
    told = read({"AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_POST_RUNNER_MODE": "WaitUntil"})
    report = Report(Level.TRACE)  # so that what is said of each input is tried as well
    invocations = Invocations()
    post_work = PostWork(nursery, invocations, no_command, told, report)
    return Relay(told, invocations, post_work, report, door)


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """A pair of TCP sockets, the second one as the door's listener would have given it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        have_no_delay(listener)
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def handler_sends(pieces: Pieces) -> Conversation:
    """What comes of these pieces; each request that arrives whole is taken with 202."""
    conversation = Conversation()

    async def talk(handler: trio.SocketStream) -> None:
        await send_pieces(handler, pieces)

    async def serve(stream: trio.SocketStream) -> None:
        received = bytearray()
        conversation.connections.append(received)
        parser = h11.Connection(h11.SERVER)
        while data := await conversation.receive_at_runtime_api(stream, received):
            parser.receive_data(data)
            if has_whole_message(parser):
                await send_pieces(stream, [TAKEN])
                parser = h11.Connection(h11.SERVER)

    trio.run(converse, talk, serve, conversation)
    return conversation


def has_whole_message(parser: h11.Connection) -> bool:
    while (event := parser.next_event()) is not h11.NEED_DATA:
        if isinstance(event, h11.EndOfMessage):
            return True
    return False


@dataclass
class Answer:
    """What the Runtime API sends to a request."""

    pieces: Pieces
    closes: bool


def runtime_api_sends(requests: Sequence[bytes], answers: Sequence[Answer]) -> Conversation:
    """What comes of these answers to these requests. A next request is sent when the answer has been sent."""
    conversation, awaited = Conversation(), list(answers)

    async def talk(handler: trio.SocketStream) -> None:
        for request in requests:
            if not conversation.handler_is_cut_off:
                await send_pieces(handler, [request], CUSHION)

    async def serve(stream: trio.SocketStream) -> None:
        received = bytearray()
        conversation.connections.append(received)
        async with stream:
            while data := await conversation.receive_at_runtime_api(stream, received):
                if not data.endswith((b"\r\n\r\n", b"}")):
                    continue
                answer = awaited.pop(0)
                await send_pieces(stream, answer.pieces)
                if answer.closes:
                    return

    trio.run(converse, talk, serve, conversation)
    return conversation


# What h11 alone makes of the same bytes, in one piece.


def h11_reads(parser: h11.Connection, reading: Reading) -> bool:
    """Read messages up to the end of one that ends an exchange. Tell whether there was one."""
    message = None
    try:
        while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            match event:
                case h11.Request():
                    reading.cut = message = Message((event.method, event.target), event.headers.raw_items())
                case h11.InformationalResponse():
                    start = b"%d" % event.status_code, event.reason
                    reading.whole.append(Message(start, event.headers.raw_items()))
                case h11.Response():
                    start = b"%d" % event.status_code, event.reason
                    reading.cut = message = Message(start, event.headers.raw_items())
                case h11.Data() if message:
                    message.body += event.data
                case h11.EndOfMessage() if message:
                    message.trailers = event.headers.raw_items()
                    reading.whole.append(message)
                    reading.cut = None
                    return True
                case _:
                    break
    except h11.RemoteProtocolError:
        pass
    return False


def h11_reads_requests(data: bytes) -> Reading:
    """Empty lines before a request are no part of it (RFC 9112, 2.2), and h11 does not skip them by itself."""
    reading = Reading()
    while data := data.lstrip(b"\r\n"):
        parser = h11.Connection(h11.SERVER, 2 * 1024 * 1024)
        parser.receive_data(data)
        if not h11_reads(parser, reading):
            break
        data, _ = parser.trailing_data
    return reading


def h11_reads_answer(request: bytes, answer: bytes, *, closes: bool) -> Reading:
    parser, reading = h11.Connection(h11.CLIENT, 2 * 1024 * 1024), Reading()
    parser.send(h11.Request(method=method_of(request), target=b"/", headers=[(b"Host", b"x")]))
    parser.receive_data(answer)
    if not h11_reads(parser, reading) and closes:
        parser.receive_data(b"")
        message = reading.cut
        try:
            ended = parser.next_event()
        except h11.RemoteProtocolError:
            return reading
        if message and isinstance(ended, h11.EndOfMessage):
            reading.whole.append(message)
            reading.cut = None
    return reading


HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"upgrade",
    b"transfer-encoding",
    b"expect",
}
UNTOLD = HOP_BY_HOP | {b"host"}
"""What may differ between what came and what goes on; HTTP/1.0 has no Host, and what goes on has to."""


OWN = [(b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")]
"""What the relay says of its own connections."""
NOT_TRAILERS = HOP_BY_HOP | {b"content-length", b"host", b"trailer"}


def end_to_end(message: Message) -> Headers:
    has_no_body = message.start[0] == b"204" or message.start[0].startswith(b"1")
    untold = UNTOLD | {b"content-length"} if has_no_body else UNTOLD
    return [(name, value) for name, value in message.headers if name.lower() not in untold]


def ends_with_connection(message: Message) -> bool:
    return not message.values(b"content-length") and not message.values(b"transfer-encoding")


def check_is_part_of(came_out: Reading, went_in: Reading) -> None:
    """All that came out went in, in that order, and nothing but the last message is cut short."""
    for out, into in zip(came_out.all, went_in.all, strict=False):
        assert all(name.lower() not in HOP_BY_HOP or (name, value) in OWN for name, value in out.headers)
        assert out.start == into.start
        assert end_to_end(out) == end_to_end(into)
        if out is came_out.cut or (out is came_out.all[-1] and ends_with_connection(out)):
            assert into.body.startswith(out.body)
        else:
            assert out.body == into.body
            assert out.trailers == [each for each in into.trailers if each[0].lower() not in NOT_TRAILERS]
            assert into is not went_in.cut
    assert len(came_out.all) <= len(went_in.all)


# Inputs.

MORE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"User-Agent", b"aws-lambda-python/3.11-4.2.2"),
    (b"lambda-runtime-function-error-type", b"Function.Oops"),
    (b"X-Empty", b""),
    (b"X-Text", b"caf\xe9 \t \x01 ok"),
    (b"Connection", b"keep-alive"),
    (b"Connection", b"close"),
    (b"TE", b"trailers"),
    (b"Lambda-Runtime-Aws-Request-Id", b"8476a536"),
    (b"Lambda-Runtime-Deadline-Ms", b"9" * 5000),
    (b"Lambda-Runtime-Deadline-Ms", b"1542409706888"),
]
DISTURBANCES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5;\r\nhello\r\n",
    b"ffffffffffffffffffff\r\n",
    b"\x0b",
    b"\xff",
    b"HTTP/1.0",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
]
DISTURBING_LINES = [
    b" folded\r\n",
    b"\tfolded\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 2, 2\r\n",
    b"Content-Length: 02\r\n",
    b"Content-Length: +2\r\n",
    b"Content-Length : 2\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Host: elsewhere\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Trailer: Content-Length\r\n",
    b"CONNECT elsewhere:80 HTTP/1.1\r\n",
    b"GET http://elsewhere/ HTTP/1.1\r\n",
    b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n",
]

headers = st.lists(st.sampled_from(MORE_HEADERS), max_size=3)
large_bodies = st.integers(60_000, 300_000).map(lambda size: (bytes(range(256)) * (size // 256 + 1))[:size])
bodies = st.one_of(st.just(b"{}"), st.binary(max_size=60), st.binary(max_size=60), large_bodies)


@st.composite
def framed(draw: st.DrawFn, start: bytes, head: Headers, endings: Sequence[str]) -> bytes:
    """A well-formed message that begins so, its body framed in one of these ways."""
    ending, body = draw(st.sampled_from(endings)), draw(bodies)
    match ending:
        case "length":
            lines, tail = [*head, (b"Content-Length", b"%d" % len(body))], body
        case "chunks":
            lines, tail = [*head, (b"Transfer-Encoding", b"Chunked")], draw(chunks(body))
        case "close":
            lines, tail = head, body
        case _:
            lines, tail = head, b""
    return b"".join([start, b"\r\n", *(b"%b: %b\r\n" % line for line in lines), b"\r\n", tail])


TRAILERS = [b"0\r\n\r\n", b"0\r\nX-A: 1\r\nx-b:2\r\n\r\n", b"0\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n"]


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    written, left = b"", body
    while left:
        size = draw(st.integers(1, len(left)))
        extension = draw(st.sampled_from([b"", b";a=b", b" "]))
        written += b"%X%b\r\n%b\r\n" % (size, extension, left[:size])
        left = left[size:]
    return written + draw(st.sampled_from(TRAILERS))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    target = draw(
        st.sampled_from([NEXT, RESPONSE, b"/2020-01-01/extension/register?x=1", b"/post-runner/v1/x"])
    )
    version = draw(st.sampled_from([b"HTTP/1.1"] * 7 + [b"HTTP/1.0"]))
    start = b"%b %b %b" % (draw(st.sampled_from([b"GET", b"POST", b"DELETE"])), target, version)
    return draw(framed(start, [(b"Host", b"127.0.0.1:9001"), *draw(headers)], ["none", "length", "chunks"]))


STATUSES = [b"200 OK", b"202 Accepted", b"202 Accepted", b"413 Too Large", b"500", b"204 Nothing"]


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    version = draw(st.sampled_from([b"HTTP/1.1"] * 5 + [b"HTTP/1.0"]))
    start = b"%b %b" % (
        version,
        draw(st.sampled_from(STATUSES)),
    )
    before = draw(st.sampled_from([b""] * 3 + [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]))
    return before + draw(framed(start, draw(headers), ["length", "chunks", "close"]))


@st.composite
def disturbed(draw: st.DrawFn, data: bytes) -> bytes:
    """The same with a few things put in, left out or written over, mostly where heads are."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        starts = [0, *(at + 1 for at, byte in enumerate(changed[:600]) if byte == 10)]
        at = draw(st.sampled_from(starts))
        end = changed.find(b"\n", at) + 1
        match draw(st.sampled_from(["add a line", "change a line", "drop a line", "change bytes"])):
            case "add a line":
                changed[at:at] = draw(st.sampled_from(DISTURBING_LINES))
            case "change a line":
                changed[at:end] = draw(st.sampled_from(DISTURBING_LINES))
            case "drop a line":
                del changed[at:end]
            case _:
                at = draw(st.one_of(st.integers(0, min(400, len(changed))), st.integers(0, len(changed))))
                size = draw(st.sampled_from([0, 0, 1, 1, 2, 10, 70]))
                changed[at : at + size] = draw(
                    st.one_of(st.sampled_from(DISTURBANCES), st.binary(max_size=4))
                )
    return bytes(changed)


@st.composite
def split(draw: st.DrawFn, data: bytes) -> Pieces:
    """The same in pieces: cut anywhere, mostly where heads are, or byte by byte if there are few."""
    if len(data) < 300 and draw(st.integers(0, 9)) == 9:
        return [bytes([byte]) for byte in data]
    near, far = st.integers(0, min(400, len(data))), st.integers(0, len(data))
    cuts = sorted({0, *draw(st.lists(st.one_of(near, far), max_size=6)), len(data)})
    return [data[start:end] for start, end in pairwise(cuts)]


KEEPING = [
    b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % NEXT,
    b'POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"a":1}' % RESPONSE,
    b"HEAD /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n",
]
CLOSING = [
    b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET %b HTTP/1.0\r\n\r\n" % NEXT,
]
to_be_answered = st.builds(
    lambda before, last: [*before, last],
    st.lists(st.sampled_from(KEEPING), max_size=2),
    st.sampled_from(KEEPING + CLOSING),
)


@st.composite
def sendings(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> Answer:
    return Answer(draw(data.flatmap(split)), draw(st.booleans()))


def method_of(request: bytes) -> bytes:
    return request.partition(b" ")[0]


def is_last(message: Message, raw: bytes) -> bool:
    """Whether its sender says, by a header or by its version, that nothing comes after it."""
    return b"close" in message.values(b"connection") or b"HTTP/1.0" in raw.partition(b"\r\n")[0]


def is_final(reading: Reading) -> bool:
    return bool(reading.whole) and reading.whole[-1].start[0] >= b"200"


def for_runtime_api(reading: Reading) -> Reading:
    """Without what is asked of us."""
    others = [each for each in reading.whole if not each.start[1].startswith(handler_api.PATH)]
    return Reading(others, reading.cut)


def answer_with(asked: Sequence[bytes], sent: Sequence[Answer]) -> tuple[Reading, Reading]:
    """Answer each request; return what the handler got and what h11 makes of the answers.

    The Runtime API always closes the connection after an answer that is not whole, or everybody would wait for
    the rest.
    """
    answers, went_in = [], Reading()
    for request, answer in zip(asked, sent, strict=True):
        data = b"".join(answer.pieces)
        closes = answer.closes or not is_final(h11_reads_answer(request, data, closes=False))
        answers.append(Answer(answer.pieces, closes))
        reading = h11_reads_answer(request, data, closes=closes)
        if went_in.cut is None:
            untold = {b"100"} if b"HTTP/1.1" in request else {b"100", b"103"}
            went_in.whole += [each for each in reading.whole if each.start[0] not in untold]
            went_in.cut = reading.cut
    conversation = runtime_api_sends(asked, answers)
    return read_responses(bytes(conversation.at_handler), [method_of(each) for each in asked]), went_in


# Promises.


@tries
@given(st.data())
def test_well_formed_requests_arrive_whole_wherever_they_are_split(data: st.DataObject) -> None:
    sent, raws = [], data.draw(st.lists(requests(), min_size=1, max_size=4))
    for raw in raws:
        message = h11_reads_requests(raw).whole[0]
        sent.append(message)
        if is_last(message, raw):
            break
    conversation = handler_sends(data.draw(split(b"".join(raws))))
    arrived = read_requests(conversation.at_runtime_api)
    expected = for_runtime_api(Reading(sent))
    check_is_part_of(arrived, expected)
    assert len(arrived.whole) == len(expected.whole)
    answered = read_responses(bytes(conversation.at_handler), [each.start[0] for each in sent])
    assert len(answered.whole) == len(sent)


@tries
@given(st.data())
def test_nothing_malformed_is_forwarded_from_the_handler(data: st.DataObject) -> None:
    well_formed = b"".join(data.draw(st.lists(requests(), min_size=1, max_size=3)))
    sent = data.draw(disturbed(well_formed))
    conversation = handler_sends(data.draw(split(sent)))
    went_in = h11_reads_requests(sent)
    check_is_part_of(read_requests(conversation.at_runtime_api), for_runtime_api(went_in))
    read_responses(bytes(conversation.at_handler), [b"POST"] * (len(went_in.whole) + 1))


@tries
@given(st.binary(max_size=2000).flatmap(split))
def test_arbitrary_bytes_from_the_handler_reach_nobody(pieces: Pieces) -> None:
    conversation, went_in = handler_sends(pieces), h11_reads_requests(b"".join(pieces))
    check_is_part_of(read_requests(conversation.at_runtime_api), for_runtime_api(went_in))
    assert went_in.all or not conversation.at_runtime_api  # some are a request


@tries
@given(st.data())
def test_well_formed_answers_arrive_whole_wherever_they_are_split(data: st.DataObject) -> None:
    asked = data.draw(to_be_answered)
    came_out, went_in = answer_with(asked, [data.draw(sendings(answers())) for _ in asked])
    check_is_part_of(came_out, went_in)
    assert len(came_out.whole) == len(went_in.whole)


def test_a_connection_that_the_runtime_api_closed_after_an_answer_is_not_used_again() -> None:
    poll = b"GET " + NEXT + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    ping = b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    whole = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]
    answers = [Answer(whole, closes=False), Answer(whole, closes=True), Answer(whole, closes=False)]
    came_out, _ = answer_with([poll, poll, ping], answers)
    assert len(came_out.whole) == 3


@tries
@given(st.data())
def test_nothing_malformed_is_forwarded_from_the_runtime_api(data: st.DataObject) -> None:
    asked = data.draw(to_be_answered)
    came_out, went_in = answer_with(asked, [data.draw(sendings(answers().flatmap(disturbed))) for _ in asked])
    check_is_part_of(came_out, went_in)


@tries
@given(st.binary(max_size=2000).flatmap(split), st.sampled_from(KEEPING + CLOSING))
def test_arbitrary_bytes_from_the_runtime_api_reach_nobody(pieces: Pieces, request: bytes) -> None:
    came_out, went_in = answer_with([request], [Answer(pieces, closes=True)])
    check_is_part_of(came_out, went_in)
    assert went_in.all or not came_out.all  # some are an answer
