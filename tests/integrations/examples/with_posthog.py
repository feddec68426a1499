"""Events for PostHog, which gather in memory."""

import os

from posthog import Posthog

from post_runner.flush import flush_after

posthog = Posthog("a-project", host=os.environ["POSTHOG_HOST"])


def before(_event: object, _context: object) -> str:
    """Tell of an event."""
    posthog.capture("signed up", distinct_id="ann")
    return "answered"


@flush_after(posthog.flush)
def handler(event: object, context: object) -> str:
    """Have it sent after the answer."""
    return before(event, context)
