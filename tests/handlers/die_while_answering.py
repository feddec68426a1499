"""A handler that is killed half-way through its answer."""

import os
import signal
import socket

host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
with socket.create_connection((host, int(port))) as sock:
    sock.sendall(
        b"POST /2018-06-01/runtime/invocation/any/response HTTP/1.1\r\n"
        b"Host: x\r\nContent-Length: 20\r\n\r\nhalf of it"
    )
    os.kill(os.getpid(), signal.SIGKILL)
