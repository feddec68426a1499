"""Which of our two forms was called: a handler's command to run, or a command of our own."""

import os
import sys

from . import __version__
from .build import BUILD

COMMANDS = frozenset({"run", "dev", "invoke", "check", "template"})
"""A first word that is one of these is ours; `run -- HANDLER` starts a handler of that name."""


def main() -> int:
    """Run what the arguments ask for; return the status to exit with."""
    match sys.argv[1:]:
        case ["--version"]:
            print(f"aws-lambda-post-runner {__version__} ({BUILD})")
            return 0
        case ["run", "--", *handler] if handler:
            return _run_handler(handler)
        case [] | ["-h" | "--help" | "--install-completion" | "--show-completion", *_]:
            return _run_command_line()
        case [word, *_] if word in COMMANDS:
            return _run_command_line()
        case handler:
            return _run_handler(handler)


def _run_handler(argv: list[str]) -> int:
    from . import boot

    boot.prepare()
    from .drop_in import run

    return run(argv, os.environ)


def _run_command_line() -> int:
    try:
        from .cli.app import app
    except ModuleNotFoundError as error:
        print(
            f"aws-lambda-post-runner: this build ({BUILD}) only runs handlers, for it has no {error.name}; "
            "usage: aws-lambda-post-runner HANDLER ARGS...",
            file=sys.stderr,
        )
        return 2
    app()
    return 0
