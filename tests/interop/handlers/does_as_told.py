"""Does what its event tells it, as every client of the tests can; see tests/interop/clients."""

import os
import threading
import time
from typing import Any

if "FAILS" in os.environ:
    raise LookupError("broken")


class Context:
    """What is used of awslambdaric's."""

    aws_request_id: str
    invoked_function_arn: str
    tenant_id: str | None


def say(line: str) -> None:
    """Write a line as a whole: two threads do."""
    os.write(1, f"{line}\n".encode())


def tick() -> None:
    while True:
        say("tick")
        time.sleep(0.05)


threading.Thread(target=tick, daemon=True).start()


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    seen = (
        context.aws_request_id,
        context.invoked_function_arn,
        os.environ.get("_X_AMZN_TRACE_ID"),
        context.tenant_id,
    )
    say(f"saw {' '.join(map(str, seen))}")
    match event:
        case {"do": "fail"}:
            raise LookupError("broken")
        case {"do": "exit"}:
            os._exit(7)
    return event
