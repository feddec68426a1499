"""What a WSGI application does when its response is closed, such as Flask's `call_on_close`, after the answer.

    handler = make_lambda_handler(AfterAnswer(app))  # apig-wsgi; before: make_lambda_handler(app)

An adapter closes the response before it answers. `AfterAnswer` closes it in a thread of its own, while Lambda may not
freeze us. Without the runner the closing begins all the same, and is frozen with everything else.

Django closes database connections that have served their time when a response is closed, and only those of the same
thread: here it does so at the beginning of the next request, where it looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ._waits import wait_until

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class AfterAnswer:
    """A WSGI application whose responses are closed after the answer. What fails then is logged with its traceback."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Run `app`; its response is read as ever, and only closing it is put off."""
        response = self.app(environ, start_response)
        close = getattr(response, "close", None)
        name = f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}".strip()
        return _ClosedLater(response, close, name) if close else response


class _ClosedLater:
    def __init__(self, response: Iterable[bytes], close: Callable[[], object], name: str) -> None:
        self._response = response
        self._close = close
        self._name = name

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        wait_until(self._close, name=self._name)
