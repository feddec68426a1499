"""What the post work of one invocation came to, when it has ended. Metrics and spans are made of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aws_lambda_post_runner.invocation import Settled, WaitsEnding

from .attempts import Course


@dataclass(frozen=True, slots=True)
class Account:
    """The post work of one invocation. Times are in seconds since 1970, durations in seconds."""

    settled: Settled
    settled_at: float
    """When the answer was taken."""
    ended_at: float
    course: Course | None = None
    """What became of the post command; None if none was to run."""
    held: float = 0.0
    """How long a poll of the handler's was held for it."""
    waits: WaitsEnding | None = None
    """How what the handler asked to wait for has ended; None if there was nothing."""
    budget_left: float | None = None
    """None: nothing bounds it."""


Keep = Callable[[Account], None]
"""Takes note of an account, and neither waits nor fails because of what it does with it."""

Trace = Callable[[Account], Awaitable[None]]
"""Does something with an account before the environment may be frozen."""
