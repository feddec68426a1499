"""Work that ends when the test says so: the stand-in for all that is slow."""

import os
import time
from pathlib import Path

OPEN = Path(os.environ.get("OPEN_GATE", "/nowhere"))
"""The work goes on when this file is there."""


def work(name: str) -> None:
    """Wait for the test, and say that it is done."""
    print(f"{name} began", flush=True)
    while not OPEN.exists():
        time.sleep(0.01)
    print(f"{name} done", flush=True)
