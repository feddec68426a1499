"""How the handler's process is started.

It stays in our process group and session, as if we were not there, and keeps every descriptor.
"""

import signal
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import trio

from .exits import no_thread_is_no_process


async def start_handler(
    nursery: trio.Nursery, argv: Sequence[str], environment: Mapping[str, str], ignored: Sequence[int]
) -> trio.Process:
    """Start the handler, ignoring these signals; it lives in `nursery`. Raises OSError if it cannot be started.

    Descriptors are kept: the runtime clients of Python, Node, Java, Ruby and .NET log through one that
    `_LAMBDA_TELEMETRY_LOG_FD` names. Standard input, output and error are ours.
    """
    run = partial(
        trio.run_process,
        argv,
        env=environment,
        stdin=None,
        check=False,
        close_fds=False,
        # Without it subprocess need not fork, which is faster; there is as a rule nothing to ignore.
        preexec_fn=partial(_ignore, ignored) if ignored else None,
    )
    with no_thread_is_no_process():
        process: trio.Process = await nursery.start(run)
    return process


def _ignore(
    signals: Iterable[int],
) -> None:  # pragma: no cover - in a child that is another program in the end
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
