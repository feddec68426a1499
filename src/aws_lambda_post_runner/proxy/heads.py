"""The heads of requests and responses: what of them goes on, and how a body's end is told. Pure: no IO.

h11 has parsed what comes in here; what it would mend or what two readers could read in two ways is refused. What
goes out is written from what h11 parsed, names in their own case and order, without the headers that speak of one
connection only. Nothing here knows what a request means.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import h11

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"transfer-encoding", b"expect"}
)
"""Headers that speak of one connection (RFC 9110, 7.6.1); each of our two connections has its own.

`Expect: 100-continue` is among them because we answer it ourselves, as soon as the body is wanted.
"""
_OF_EVERY_MESSAGE = frozenset({b"content-length", b"host"})
"""Headers that stay though `Connection` names them: without them the message would be another one, or none."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer"})
"""Headers that may not come as trailers, where they could only mislead (RFC 9110, 6.5.1)."""
_TWO_LENGTHS = re.compile(rb"(?i)\ncontent-length:[^\n]*,")
"""As a list in one line, where h11 takes two that are the same for one."""


class Malformed(Exception):
    """The peer sent what is not HTTP/1.1, or is in a form that two readers could read in two ways."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RequestHead(NamedTuple):
    """The head of a request from the handler.

    As a tuple it is made in a third of the time that a frozen dataclass takes; there are four heads in an invocation.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    """By name in lower case."""
    onward: bytes
    """The head, written out for the Runtime API."""
    body: int | None
    """Its length in bytes; None: chunked."""
    keep_alive: bool
    """The handler speaks HTTP/1.1 and did not ask to close."""
    speaks_11: bool
    expects_continue: bool


class ResponseHead(NamedTuple):
    """The head of a response from the Runtime API."""

    status: int
    headers: dict[bytes, bytes]
    onward: bytes
    """The head, written out for the handler that asked."""
    body: int | None
    """Its length in bytes; None: chunked, or until the connection closes."""
    ends_by_closing: bool
    """Whether the end of the body is told by the end of the connection."""
    chunked_onward: bool
    """Whether a body without a length goes to the handler in chunks; a client of HTTP/1.0 reads until the end."""
    keeps_open: bool
    """Whether the Runtime API will take another request on the connection."""


def judge_request(event: h11.Request) -> RequestHead:
    """Make a head of what h11 parsed. Raises Malformed."""
    headers = _by_name(event)
    if not event.target.startswith(b"/") or event.method == b"CONNECT":
        raise Malformed("the target is not a path")
    speaks_11 = event.http_version >= b"1.1"
    chunked = b"transfer-encoding" in headers
    kept = _end_to_end(event, headers)
    if chunked:
        kept.append((b"Transfer-Encoding", b"chunked"))
    if b"host" not in headers:
        kept.append((b"Host", b""))  # HTTP/1.0 can do without it, HTTP/1.1 cannot
    return RequestHead(
        method=event.method,
        target=event.target,
        headers=headers,
        onward=write_head(b"%b %b HTTP/1.1" % (event.method, event.target), kept),
        body=None if chunked else int(headers.get(b"content-length", b"0")),
        keep_alive=speaks_11 and not _asks_to_close(event, headers),
        speaks_11=speaks_11,
        expects_continue=speaks_11 and headers.get(b"expect", b"").lower() == b"100-continue",
    )


def judge_response(event: h11.Response, request: RequestHead) -> ResponseHead:
    """Make a head of what h11 parsed, for the handler that made the request. Raises Malformed."""
    headers = _by_name(event)
    chunked = b"transfer-encoding" in headers
    if request.method == b"HEAD" or event.status_code in (204, 304):
        body: int | None = 0
    elif chunked or b"content-length" not in headers:
        body = None
    else:
        body = int(headers[b"content-length"])
    chunked_onward = body is None and request.speaks_11
    ends_by_closing = body is None and not chunked
    kept = _end_to_end(event, headers)
    if event.status_code == 204:
        kept = _without_length(kept)
    if chunked_onward:
        kept.append((b"Transfer-Encoding", b"chunked"))
    if not request.keep_alive:
        kept.append((b"Connection", b"close"))
    return ResponseHead(
        status=event.status_code,
        headers=headers,
        onward=_write_response(event, kept),
        body=body,
        ends_by_closing=ends_by_closing,
        chunked_onward=chunked_onward,
        keeps_open=event.http_version >= b"1.1"
        and not ends_by_closing
        and not _asks_to_close(event, headers),
    )


def judge_informational(event: h11.InformationalResponse) -> ResponseHead:
    """Make a head of what h11 parsed: a 1xx, which has no body and after which the response is still to come."""
    headers = _by_name(event)
    return ResponseHead(
        status=event.status_code,
        headers=headers,
        onward=_write_response(event, _without_length(_end_to_end(event, headers))),
        body=0,
        ends_by_closing=False,
        chunked_onward=False,
        keeps_open=False,
    )


def judge_trailers(event: h11.EndOfMessage) -> Headers:
    """Those trailers that go on."""
    return [
        item
        for item, (name, _) in zip(event.headers.raw_items(), event.headers, strict=True)
        if name not in _FRAMING and name not in HOP_BY_HOP
    ]


def refuse_merged_lines(event: h11.Request | h11.InformationalResponse | h11.Response, raw: bytes) -> None:
    """Raise Malformed if h11 merged lines of the head `raw` to one header.

    h11 mends a folded line and a doubled Content-Length. Another reader of the same bytes may take them for
    something else.
    """
    if raw.count(b"\n") != len(event.headers) + 2 or _TWO_LENGTHS.search(raw):
        raise Malformed("a header is folded, or Content-Length is doubled")


def make_request(method: bytes, target: bytes, headers: Headers) -> RequestHead:
    """A request of our own."""
    return judge_request(h11.Request(method=method, target=target, headers=headers))


def write_head(start: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A start line and headers, as they go out."""
    return b"%b\r\n%b\r\n" % (start, b"".join([b"%b: %b\r\n" % header for header in headers]))


def _write_response(event: h11.InformationalResponse | h11.Response, headers: Headers) -> bytes:
    return write_head(b"HTTP/1.1 %d %b" % (event.status_code, event.reason), headers)


def _by_name(event: h11.Request | h11.InformationalResponse | h11.Response) -> dict[bytes, bytes]:
    headers = dict(event.headers)
    if b"content-length" in headers and b"transfer-encoding" in headers:
        raise Malformed("Content-Length together with Transfer-Encoding")
    return headers


def _asks_to_close(event: h11.Request | h11.Response, headers: dict[bytes, bytes]) -> bool:
    return b"connection" in headers and b"close" in _named_by_connection(event)


def _named_by_connection(event: h11.Request | h11.InformationalResponse | h11.Response) -> set[bytes]:
    """The words of its `Connection` headers, in lower case: `close`, or names of headers (RFC 9110, 7.6.1)."""
    lists = [value for name, value in event.headers if name == b"connection"]
    return {word.strip().lower() for value in lists for word in value.split(b",")}


def _end_to_end(
    event: h11.Request | h11.InformationalResponse | h11.Response, headers: dict[bytes, bytes]
) -> Headers:
    raw = event.headers.raw_items()
    if HOP_BY_HOP.isdisjoint(headers):
        return raw
    named = _named_by_connection(event) - _OF_EVERY_MESSAGE
    return [
        item
        for item, (name, _) in zip(raw, event.headers, strict=True)
        if name not in HOP_BY_HOP and name not in named
    ]


def _without_length(headers: Headers) -> Headers:
    """Responses that never have a body must not have a length either (RFC 9110, 8.6): some would wait for it."""
    return [item for item in headers if item[0].lower() != b"content-length"]
