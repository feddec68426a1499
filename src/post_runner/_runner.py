"""The conversation with the runner: what is asked of it over HTTP, and what it answers.

Modules are imported in functions here, because this file is part of every cold start of the function.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # what `typing` calls so; importing that would cost every cold start
if TYPE_CHECKING:
    from types import TracebackType

PATIENCE = 0.5
"""Seconds to wait for the runner. It is on this machine, and answers within a fraction of a millisecond."""

_warned: set[str] = set()


def work(data: object, request_id: str = "current") -> bool:
    """Hand `data` to the post command of this invocation; in mode OnRequest this is what makes it run.

    Text and bytes go as they are, anything else as JSON, where what JSON does not know becomes its text. Each call
    makes a line of the command's standard input. Tells whether a command will get it. Where none will, a warning
    is logged, once for each reason.
    """
    try:
        body = _to_bytes(data)
    except Exception as error:  # noqa: BLE001 - it is somebody else's __str__ that may have failed
        _warn_once(f"{type(data).__name__} cannot be sent: {type(error).__name__}: {error}")
        return False
    status, answer = ask("POST", f"invocation/{_that_is(request_id)}/work", body)
    if status == 202:
        return True
    _warn_once(_why_not_taken(status, answer))
    return False


def hold(request_id: str = "current", name: str = "") -> Hold:
    """Keep Lambda from freezing this environment, from this call until the hold is released.

    Call it before the handler returns; the budget of the post work bounds it. `name` is for the runner's lines. A
    block that the handler runs is held by `with hold():`. A thread's body needs the hold before it runs, and so is
    given it:

        threading.Thread(target=archive, args=[event, post_runner.hold()]).start()

        def archive(event, held):
            with held:
                ...
    """
    return Hold(open_wait(request_id, name))


class Hold:
    """Lambda does not freeze this environment before it is released, or a `with` block of it has ended."""

    def __init__(self, token: str) -> None:
        self._token = token

    def release(self) -> None:
        """Let go; a second time does nothing. May be called in any thread."""
        token, self._token = self._token, ""
        end_wait(token)

    def __enter__(self) -> Hold:  # noqa: PYI034 - typing.Self is not in Python 3.10
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        from threading import current_thread, main_thread

        # Python tells of a thread's error when the thread ends, and by then we may be frozen.
        if error is not None and current_thread() is not main_thread():
            log_failure(error)
        self.release()


def open_wait(request_id: str, name: str = "") -> str:
    """Ask the runner to wait for what is called so; return a token for `end_wait`, empty if nobody waits."""
    import json

    named = json.dumps({"name": name}).encode() if name else b""
    status, body = ask("POST", f"invocation/{_that_is(request_id)}/wait", named)
    if status != 201:
        return ""
    token: str = json.loads(body)["token"]
    return token


def end_wait(token: str) -> None:
    """End what `open_wait` began."""
    if token:
        ask("DELETE", f"wait/{token}")


def log_failure(error: BaseException) -> None:
    """Log with its traceback what has failed: before the wait ends, so that the freeze cannot swallow it."""
    from logging import getLogger

    getLogger("post_runner").error("what the freeze waits for has failed", exc_info=error)


def ask(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send the runner a request; return the status and the body of its answer, or 0 if there was none.

    http.client would do the same, but it takes twenty milliseconds to import.
    """
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "")
    host, _, port = address.rpartition(":")
    if not host:
        return 0, b""
    import socket

    request_line = f"{method} /post-runner/v1/{path} HTTP/1.0"
    head = f"{request_line}\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(head.encode() + body)
            with connection.makefile("rb") as answer:
                status, length = int(answer.readline().split()[1]), 0
                while line := answer.readline().strip():
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                return status, answer.read(length)
    except (OSError, ValueError, IndexError):  # nobody is there, or somebody who does not speak HTTP
        return 0, b""


def _that_is(request_id: str) -> str:
    """The name of an invocation for the runner; where several are in flight, `current` is the one of this process.

    That is the one whose event came on a connection of this process: on Managed Instances awslambdaric has a
    process for each.
    """
    if request_id != "current" or "AWS_LAMBDA_MAX_CONCURRENCY" not in os.environ:
        return request_id
    ports = ",".join(map(str, _ports_to(os.environ.get("AWS_LAMBDA_RUNTIME_API", ""))))
    return f"on:{ports}" if ports else request_id


def _ports_to(address: str) -> list[int]:
    """Our own ports of the connections that this process has to an address; none where there is no /proc."""
    from contextlib import suppress
    from stat import S_ISSOCK

    found = []
    try:
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib would cost a cold start
            with suppress(OSError):  # it has been closed since, or is connected to nobody
                if S_ISSOCK(os.fstat(int(name)).st_mode):
                    found += _port_to(address, os.dup(int(name)))
    except OSError:
        pass
    return found


def _port_to(address: str, descriptor: int) -> list[int]:
    """Our own port, if `descriptor`, which is closed then, is a connection to that address. Raises OSError."""
    import socket

    with socket.socket(fileno=descriptor) as connection:
        if connection.family == socket.AF_INET and "{}:{}".format(*connection.getpeername()) == address:
            return [connection.getsockname()[1]]
    return []


def _to_bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode(errors="surrogateescape")  # a file's name that is not UTF-8 is its own bytes again
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    import json

    return json.dumps(data, default=str).encode()


def _why_not_taken(status: int, answer: bytes) -> str:
    import json

    if status:
        try:
            return f"the runner answered {status}: {json.loads(answer)['errorMessage']}"
        except (ValueError, TypeError, KeyError):
            pass  # not the runner, but the Runtime API itself or somebody else
    return "the runner is not there"


def _warn_once(why: str) -> None:
    if why not in _warned:
        _warned.add(why)
        from logging import getLogger

        getLogger("post_runner").warning("no command gets this work: %s", why)
