"""A handler that answers one invocation and exits at once, without reading the acknowledgement."""

import os
import socket
import sys

host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
with socket.create_connection((host, int(port))) as sock:
    sock.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
    head = sock.recv(65536).decode().lower()
    request_id = head.partition("aws-request-id: ")[2].partition("\r\n")[0]
    sock.sendall(
        f"POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\n"
        "Host: x\r\nContent-Length: 2\r\n\r\n{}".encode()
    )
sys.exit(3)
