"""How the handler's process is started.

It stays in our process group and session, as if we were not there, and keeps every descriptor.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import trio


async def start_handler(
    nursery: trio.Nursery, argv: Sequence[str], environment: Mapping[str, str]
) -> trio.Process:
    """Start the handler; it lives in `nursery`. Raises OSError if it cannot be started.

    Descriptors are kept: the runtime clients of Python, Node, Java, Ruby and .NET log through one that
    `_LAMBDA_TELEMETRY_LOG_FD` names. Standard input, output and error are ours.
    """
    run = partial(trio.run_process, argv, env=environment, stdin=None, check=False, close_fds=False)
    process: trio.Process = await nursery.start(run)
    return process
