"""Flush what gathers in memory, such as OpenTelemetry's spans, after the answer and before the freeze.

    @flush_after(provider.force_flush)
    def handler(event, context): ...

No caller waits for the collector, and nothing that was gathered is frozen with us.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from logging import getLogger
from threading import Thread
from typing import ParamSpec, TypeVar

from ._runner import log_failure
from ._waits import name_of, wait_until

P = ParamSpec("P")
R = TypeVar("R")

CAP = 5.0
"""Seconds for a flush. A collector that is down must not use up the budget of all post work."""


def flush_after(
    *functions: Callable[[], object], cap: float = CAP
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a decorator for the handler: `functions` are called when it has returned or failed, as `flush` does."""
    return partial(_flushed_after, functions, cap)


def flush(*functions: Callable[[], object], cap: float = CAP, request_id: str = "current") -> None:
    """Call each of `functions` in a thread of its own; nothing is frozen before they have returned. Returns at once.

    Each may take `cap` seconds; then nobody waits for it any longer, which is logged as a warning. One that raises
    is logged with its traceback, and one that returns False, as OpenTelemetry's do, as a warning.
    """
    for function in functions:
        wait_until(partial(_call_within, cap, function), request_id, _name(function))


def _flushed_after(
    functions: tuple[Callable[[], object], ...], cap: float, handler: Callable[P, R]
) -> Callable[P, R]:
    @wraps(handler)
    def handle(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        finally:
            flush(*functions, cap=cap)

    return handle


def _call_within(cap: float, function: Callable[[], object]) -> None:
    calling = Thread(target=_call, args=[function], daemon=True)
    calling.start()
    calling.join(cap)
    if calling.is_alive():
        getLogger("post_runner").warning(
            "%s has taken more than %g s, and is left alone", _name(function), cap
        )


def _call(function: Callable[[], object]) -> None:
    try:
        flushed = function()
    except BaseException as error:  # noqa: BLE001 - whatever ends a thread is told before the freeze
        log_failure(error)
    else:
        if flushed is False:
            getLogger("post_runner").warning("%s says that it has failed", _name(function))


def _name(function: Callable[[], object]) -> str:
    return name_of(function) or repr(function)
