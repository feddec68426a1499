"""Reads HTTP/1.1 messages as strictly as one can, and refuses whatever two readers could read in two ways.

What the runner sends has to pass here. Its input may well be sloppier: a bare line feed, a chunk's extension or an
`HTTP/1.0` are read and written anew. So nothing here is shared with what the runner reads by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Headers = list[tuple[bytes, bytes]]

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_TEXT = rb"[^\x00\r\n]*"
_REQUEST_LINE = re.compile(rb"(%b) (/[\x21-\x7e]*) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) (%b)" % _TEXT)
_FIELD_LINE = re.compile(rb"(%b): ?(%b)" % (_TOKEN, _TEXT))
_CHUNK_LINE = re.compile(rb"[0-9a-fA-F]{1,16}")
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer"})


class NotStrictError(Exception):
    """Something that is not a message, or that could be read in another way."""


class _CutError(Exception):
    """The data ends within a message."""


@dataclass
class Message:
    """A request or a response."""

    start: tuple[bytes, bytes]
    """Method and target, or status and reason."""
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """The values of all headers of this name (in lower case)."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Reading:
    """What was read: whole messages, and perhaps one that was cut short by the end of the data."""

    whole: list[Message] = field(default_factory=list)
    cut: Message | None = None

    @property
    def all(self) -> list[Message]:
        return self.whole + ([self.cut] if self.cut else [])


def read_requests(data: bytes) -> Reading:
    """Read requests to the end of the data. Raises NotStrictError."""
    reader, reading = _Reader(data), Reading()
    while reader.more():
        message = Message(*reader.head(_REQUEST_LINE))
        if len(message.values(b"host")) != 1:
            raise NotStrictError("not one Host")
        _read_body(reader, reading, message, length_if_unsaid=0)
    return reading


def read_responses(data: bytes, methods: Sequence[bytes]) -> Reading:
    """Read the responses to requests with these methods to the end of the data. Raises NotStrictError."""
    reader, reading, awaited = _Reader(data), Reading(), list(methods)
    while reader.more():
        message = Message(*reader.head(_STATUS_LINE))
        status = message.start[0]
        if not awaited:
            raise NotStrictError("a response that nobody asked for")
        method = b"" if status < b"200" else awaited.pop(0)
        if status < b"200" or status == b"204":
            if _framing(message) != (None, False):
                raise NotStrictError(f"a length where there is no body: {message}")
            reading.whole.append(message)
        elif status == b"304" or method == b"HEAD":
            _framing(message)
            reading.whole.append(message)
        else:
            _read_body(reader, reading, message, length_if_unsaid=None)
    return reading


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def head(self, start: re.Pattern[bytes]) -> tuple[tuple[bytes, bytes], Headers]:
        try:
            match = start.fullmatch(line := self.line())
            if match is None:
                raise NotStrictError(f"starts with {line!r}")
            return (match[1], match[2]), self.fields()
        except _CutError:
            # A head goes out in one piece, so that a peer never sees half of one.
            raise NotStrictError(f"half a head: {self._data[self._at :]!r}") from None

    def fields(self) -> Headers:
        fields = []
        while line := self.line():
            match = _FIELD_LINE.fullmatch(line)
            if match is None:
                raise NotStrictError(f"a header {line!r}")
            fields.append((match[1], match[2].strip(b" \t")))
        return fields

    def line(self) -> bytes:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            raise _CutError
        line, self._at = self._data[self._at : end], end + 2
        return line

    def take(self, size: int, message: Message) -> None:
        piece = self._data[self._at : self._at + size]
        message.body += piece
        self._at += len(piece)
        if len(piece) < size:
            raise _CutError

    def rest(self, message: Message) -> None:
        self.take(len(self._data) - self._at, message)

    def skip_rest(self) -> None:
        self._at = len(self._data)


def _framing(message: Message) -> tuple[bytes | None, bool]:
    """The Content-Length, and whether the body is chunked."""
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise NotStrictError(f"lengths {lengths}, codings {codings}")
    if codings and codings != [b"chunked"]:
        raise NotStrictError(f"codings {codings}")
    if lengths and not lengths[0].isdigit():
        raise NotStrictError(f"lengths {lengths}")
    return (lengths[0] if lengths else None), bool(codings)


def _read_body(reader: _Reader, reading: Reading, message: Message, length_if_unsaid: int | None) -> None:
    length, chunked = _framing(message)
    try:
        if chunked:
            _read_chunks(reader, message)
        elif length is not None:
            reader.take(int(length), message)
        elif length_if_unsaid is None:
            reader.rest(message)
    except _CutError:
        reading.cut = message
        reader.skip_rest()
    else:
        reading.whole.append(message)


def _read_chunks(reader: _Reader, message: Message) -> None:
    while True:
        line = reader.line()
        if not _CHUNK_LINE.fullmatch(line):
            raise NotStrictError(f"a chunk of {line!r} bytes")
        if not int(line, 16):
            break
        reader.take(int(line, 16), message)
        if reader.line():
            raise NotStrictError("a chunk that does not end")
    message.trailers = reader.fields()
    if _FRAMING & {name.lower() for name, _ in message.trailers}:
        raise NotStrictError(f"trailers {message.trailers}")
