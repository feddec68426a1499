"""Heads in the plain form that nearly all have, read without h11. Pure: no IO.

A head is plain when no two readers could differ on it and nothing in it speaks of one connection only: printable
ASCII, one space after each colon, no name twice, a Content-Length in digits or none. It goes on byte for byte.
Whatever else comes, well-formed or not, is left to h11: None is returned for it.

What is read here, h11 would read in the same way; a test holds the two side by side. It takes 2 µs instead of 17,
and half of the processor time of an invocation went there.
"""

import re

from .heads import HOP_BY_HOP, RequestHead, ResponseHead

_LINES = rb"\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [!-~](?:[ -~]*[!-~])?\r\n)+)\r\n"
_REQUEST = re.compile(rb"((?!CONNECT )[A-Z]+) (/[!-~]*) HTTP/1\.1" + _LINES)
_RESPONSE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [!-~](?:[ -~]*[!-~])?" + _LINES)
_LENGTH = re.compile(rb"[0-9]{1,18}")

_NEVER_PLAIN = HOP_BY_HOP | {b"transfer-encoding"}
_BODILESS = (204, 304)


def read_plain_request(head: bytes) -> RequestHead | None:
    """The head of a request, if it is plain."""
    match = _REQUEST.fullmatch(head)
    headers = _read_lines(match[3]) if match else None
    if match is None or headers is None or b"host" not in headers:
        return None
    return RequestHead(
        method=match[1],
        target=match[2],
        headers=headers,
        onward=head,
        body=int(headers.get(b"content-length", b"0")),
        keep_alive=True,
        speaks_11=True,
        expects_continue=False,
    )


def read_plain_response(head: bytes, request: RequestHead) -> ResponseHead | None:
    """The head of a response to that request, if it is plain."""
    if not request.keep_alive or request.method == b"HEAD":
        return None
    match = _RESPONSE.fullmatch(head)
    headers = _read_lines(match[2]) if match else None
    if match is None or headers is None or b"content-length" not in headers:
        return None
    status = int(match[1])
    if status in _BODILESS:
        return None
    return ResponseHead(
        status=status,
        headers=headers,
        onward=head,
        body=int(headers[b"content-length"]),
        ends_by_closing=False,
        chunked_onward=False,
        keeps_open=True,
    )


def _read_lines(lines: bytes) -> dict[bytes, bytes] | None:
    """The headers by name in lower case; None if they are not plain."""
    headers: dict[bytes, bytes] = {}
    split = lines[:-2].split(b"\r\n")
    for line in split:
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    if len(headers) < len(split) or not _NEVER_PLAIN.isdisjoint(headers):
        return None
    if b"content-length" in headers and not _LENGTH.fullmatch(headers[b"content-length"]):
        return None
    return headers
