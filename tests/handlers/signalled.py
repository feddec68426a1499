"""A handler that says which signals it gets, and exits with status 5 a little after the first that stops it."""

import os
import signal
import sys

STOPPING = {signal.SIGTERM, signal.SIGINT}
AWAITED = STOPPING | {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
SECONDS_AFTER = 0.2
"""Long enough that a signal which is delivered twice arrives twice."""


def say(number: int) -> None:
    """Print the signal's name."""
    print(signal.Signals(number).name, flush=True)


signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
print(f"group {os.getpgrp()} session {os.getsid(0)}", flush=True)
print(os.environ["AWS_LAMBDA_RUNTIME_API"], flush=True)
while (number := signal.sigwait(AWAITED)) not in STOPPING:
    say(number)
say(number)
while again := signal.sigtimedwait(AWAITED, SECONDS_AFTER):
    say(again.si_signo)
sys.exit(5)
