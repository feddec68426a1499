"""Send a document to a receiver of spans, once, within a given time. Trouble on the way is told and never raised."""

import socket

import trio

from aws_lambda_post_runner.post.span import Receiver

from .ends import RuntimeApiWire
from .heads import Malformed, make_request
from .wire import Hangup


async def export(receiver: Receiver, document: bytes, seconds: float) -> str:
    """Post the document; return what went wrong, in words, or an empty text."""
    with trio.move_on_after(seconds):
        try:
            status = await _post(receiver, document)
        except (OSError, Hangup, Malformed) as error:
            return str(error)
        return "" if 200 <= status < 300 else f"it answered with status {status}"
    return f"it did not answer within {seconds * 1000:.0f} ms"


async def _post(receiver: Receiver, document: bytes) -> int:
    """The status of the answer. Its body is of no use: it can only tell which of one span was refused."""
    headers = [
        (b"Host", receiver.host.encode()),
        (b"Content-Type", b"application/json"),
        *((name.encode(), value.encode()) for name, value in receiver.headers),
        (b"Content-Length", b"%d" % len(document)),
    ]
    request = make_request(b"POST", receiver.path.encode(), headers)
    # Resolved by trio, in a thread: a name that is looked up for seconds must not keep the relay waiting.
    host, port = receiver.address
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    wire = await _connect_to_first([(str(address[0]), int(address[1])) for *_, address in found])
    try:
        wire.queue_request(request)
        await wire.flush(document)
        response = await wire.receive_response(request)
        while response.status < 200:
            response = await wire.receive_response(request)
        return response.status
    finally:
        wire.close()


async def _connect_to_first(addresses: list[tuple[str, int]]) -> RuntimeApiWire:
    """A connection to the first of these that takes one. Raises the last one's OSError if none does.

    `localhost` is as a rule two addresses, and a receiver listens on one of them.
    """
    for address in addresses[:-1]:
        try:
            return await RuntimeApiWire.connect(address)
        except OSError:
            continue
    return await RuntimeApiWire.connect(addresses[-1])
