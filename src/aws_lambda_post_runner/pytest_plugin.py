"""The fixture that pytest finds in every project where this package is installed.

It imports nothing until a test asks for it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .dev.testing import RunningFunction


@pytest.fixture
def run_lambda() -> Iterator["Callable[..., RunningFunction]"]:
    """Start functions under the post runner: `run_lambda(*HANDLER, command=…, environ=…, timeout=…)`.

    `invoke(event)` on the result gives the answer, with its `seconds`; `post_work()` on the answer waits for the
    post command and gives its `request_id`, `exit_status` and times. Between invocations the handler is frozen,
    as on Lambda. No process is left when the test ends.
    """
    from .dev.testing import RunningFunction, function_options

    with ExitStack() as functions:

        def start(
            *handler: str,
            command: str | None = None,
            environ: dict[str, str] | None = None,
            timeout: float = 30.0,
        ) -> RunningFunction:
            options = function_options(handler, command, environ or {}, timeout)
            return functions.enter_context(RunningFunction(options))

        yield start
