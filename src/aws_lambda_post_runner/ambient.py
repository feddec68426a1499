"""What gives the frameworks in a handler's Node a `waitUntil` that is ours: a file that Node loads before all else.

Only where the setting AMBIENT asks for it; what is not Node does not read NODE_OPTIONS.
"""

from collections.abc import Mapping
from pathlib import Path

OPTIONS = "NODE_OPTIONS"
IN_LAYER = "/opt/nodejs/node_modules/post-runner/ambient.js"


def preload_file(environment: Mapping[str, str]) -> str | None:
    """Where the file is: beside us in a plain installation, in our layer, or installed with the function by npm."""
    beside_us = Path(globals().get("__file__", "/")).parent  # the executable's modules are in no file
    task = environment.get("LAMBDA_TASK_ROOT", "/var/task")
    places = (
        f"{beside_us}/layer/nodejs/post-runner/ambient.js",
        IN_LAYER,
        f"{task}/node_modules/post-runner/ambient.js",
    )
    return next((place for place in places if Path(place).is_file()), None)


def with_preload(environment: Mapping[str, str], path: str) -> dict[str, str]:
    """Return the environment with the file as one more of Node's options, after those that are there."""
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    options = [environment.get(OPTIONS, ""), f'--require "{quoted}"']
    return {**environment, OPTIONS: " ".join(filter(None, options))}
