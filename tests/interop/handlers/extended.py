"""Has an extension within it, which registers before the function is ready and hears of its end."""

import os
import threading
from typing import Any

from extension import ask, register

identifier = register("inner", ["SHUTDOWN"])


def listen() -> None:
    event = ask("event/next", identifier)
    os.write(1, f"extension: {event['eventType']}\n".encode())


threading.Thread(target=listen, daemon=True).start()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return event
