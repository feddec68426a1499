"""A handler that exits with status 7 while it polls on one connection and another one is open."""

import os
import socket

host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
polling = socket.create_connection((host, int(port)))
polling.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
asking = socket.create_connection((host, int(port)))
asking.sendall(b"GET /there-is-a-poll HTTP/1.1\r\nHost: x\r\n\r\n")
asking.recv(1)
os._exit(7)
