"""A server that takes whatever is sent to it, and answers when the test says so."""

import gzip
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 20.0
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}


class Collector(ThreadingHTTPServer):
    """Stands for OpenTelemetry's collector, Sentry, PostHog, Langfuse."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.answering = threading.Event()
        """Set it, and what has come is answered."""
        self.bodies: list[bytes] = []

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.server_port}"

    def has(self, text: str) -> bool:
        """Whether this has been sent."""
        return any(text.encode() in body for body in self.bodies)


class _Take(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self._read_body())
        self.server.answering.wait(PATIENCE)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        decompress = DECOMPRESS.get(self.headers.get("Content-Encoding", ""))
        return decompress(body) if decompress else body

    def log_message(self, *_: object) -> None:
        pass
