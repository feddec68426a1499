"""A user's function: it greets, and leaves the rest to its post command."""

from typing import Any


def handler(event: dict[str, Any], _: object) -> dict[str, str]:
    """Greet somebody, or fail when told to."""
    if event.get("fail"):
        raise ValueError("as told")
    return {"greeting": f"Hello {event['name']}"}
