"""What the post work of one invocation came to, when it has ended. Metrics are made of it."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_post_runner.invocation import Ending, Settled


@dataclass(frozen=True, slots=True)
class Account:
    """The post work of one invocation. Times are in seconds since 1970, durations in seconds."""

    settled: Settled
    settled_at: float
    """When the answer was taken."""
    ended_at: float
    ending: Ending | None = None
    """How the post command ended; None if none was to run."""
    held: float = 0.0
    """How long a poll of the handler's was held for it."""
    waited: float = 0.0
    """How long it took, after the command, until what the handler asked to wait for had ended or was given up."""
    waits_expired: int = 0
    budget_left: float | None = None
    """None: nothing bounds it."""


Keep = Callable[[Account], None]
"""Takes note of an account, and neither waits nor fails because of what it does with it."""
