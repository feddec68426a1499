"""A handler with a runtime client of its own, that does what each event says. Run as a program.

It needs nothing but the standard library, so that tests of `dev` run where awslambdaric is not installed.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RUNTIME = "/2018-06-01/runtime"


def serve(connection: http.client.HTTPConnection) -> None:
    """Poll and answer for ever."""
    while True:
        connection.request("GET", f"{RUNTIME}/invocation/next")
        head = connection.getresponse()
        event = json.loads(head.read())
        request_id = head.headers["Lambda-Runtime-Aws-Request-Id"]
        answer(connection, f"{RUNTIME}/invocation/{request_id}", event)


def answer(connection: http.client.HTTPConnection, path: str, event: Any) -> None:
    match event:
        case {"do": "fail"}:
            post(connection, f"{path}/error", {"errorMessage": "as told", "errorType": "AsTold"})
        case {"do": "exit", "status": status}:
            print("leaving", end="", flush=True)
            os._exit(status)
        case {"do": "kill yourself"}:
            os.kill(os.getpid(), signal.SIGKILL)
        case {"do": "answer and exit"}:
            post(connection, f"{path}/response", "bye")
            os._exit(0)
        case {"do": "finish later", "wait_for": wait_for}:
            address = (connection.host, connection.port)
            arguments = [*address, Path(wait_for), ask_to_wait(connection)]
            threading.Thread(target=finish_later, args=arguments).start()
            post(connection, f"{path}/response", "answered")
        case {"do": "stream", "parts": parts, "wait_for": wait_for}:
            head = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Content-Type": "text/plain"}
            body = stream(parts, Path(wait_for))
            connection.request("POST", f"{path}/response", body, headers=head, encode_chunked=True)
            connection.getresponse().read()
        case _:
            post(connection, f"{path}/response", returned(event))


def returned(event: Any) -> Any:
    """Do what the event says and return what the response is to be."""
    match event:
        case {"do": "sleep", "seconds": seconds}:
            time.sleep(seconds)
            return "slept"
        case {"do": "start a daemon", "seconds": seconds}:
            return subprocess.Popen(["sleep", str(seconds)], start_new_session=True).pid
        case {"do": "tell pid"}:
            return os.getpid()
        case {"do": "tell environ"}:
            return dict(os.environ)
        case _:
            return event


def ask_to_wait(connection: http.client.HTTPConnection) -> str:
    """Ask the runner to wait before the next poll; return the token that ends it."""
    connection.request("POST", "/post-runner/v1/invocation/current/wait")
    return str(json.loads(connection.getresponse().read())["token"])


def finish_later(host: str, port: int, wait_for: Path, token: str) -> None:
    """End a wait when a file is there."""
    while not wait_for.exists():
        time.sleep(0.005)
    connection = http.client.HTTPConnection(host, port)
    connection.request("DELETE", f"/post-runner/v1/wait/{token}")
    connection.getresponse().read()
    connection.close()


def stream(parts: list[str], wait_for: Path) -> Iterator[bytes]:
    """Yield the parts, but the second and later ones only when the file `wait_for` is there."""
    for number, part in enumerate(parts):
        while number and not wait_for.exists():
            time.sleep(0.005)
        if part == "CUT":
            os._exit(1)
        yield part.encode()


def post(connection: http.client.HTTPConnection, path: str, body: Any) -> None:
    connection.request("POST", path, json.dumps(body), headers={"Content-Type": "application/json"})
    connection.getresponse().read()


def main() -> None:
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    if "init-error" in sys.argv:
        post(connection, f"{RUNTIME}/init/error", {"errorMessage": "cannot", "errorType": "Runtime.Cannot"})
        sys.exit(1)
    if "exit-at-once" in sys.argv:
        print("I cannot start", file=sys.stderr)
        sys.exit(7)
    if "fork" in sys.argv:
        for _ in range(int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]) - 1):
            if os.fork() == 0:
                connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
                break
    serve(connection)


if __name__ == "__main__":
    main()
