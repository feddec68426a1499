"""What is reported to Sentry, by a thread of its own."""

import sentry_sdk

from post_runner.flush import flush_after

sentry_sdk.init(default_integrations=False)  # the address is in SENTRY_DSN


def before(_event: object, _context: object) -> str:
    """Report twice: the first report is on its way while the second waits."""
    sentry_sdk.capture_message("first report")
    sentry_sdk.capture_message("second report")
    return "answered"


@flush_after(sentry_sdk.flush)
def handler(event: object, context: object) -> str:
    """Have both sent after the answer."""
    return before(event, context)
