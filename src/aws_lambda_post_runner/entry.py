"""Which of our two forms was called: a handler's command to run, or a command of our own."""

import os
import sys
from difflib import get_close_matches

from . import __version__
from .build import BUILD
from .runtime_api import ADDRESS_VARIABLE

COMMANDS = frozenset({"run", "dev", "invoke", "check", "template", "verify"})
"""A first word that is one of these is ours; `run -- HANDLER` starts a handler of that name."""

EX_NOT_FOUND = 127
"""As shells have it."""


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
        case [word, *_] if meant := _nearly_ours(word):
            print(f"aws-lambda-post-runner: there is no {word}; did you mean {meant}?", file=sys.stderr)
            return EX_NOT_FOUND
        case handler:
            return _run_handler(handler)


def _nearly_ours(word: str) -> str:
    """Tell which word of ours was meant by one that nothing can be started by; empty within Lambda."""
    if ADDRESS_VARIABLE in os.environ:
        return ""
    places = (word, *(f"{folder}/{word}" for folder in os.get_exec_path()))
    if any(os.access(place, os.F_OK) for place in places):
        return ""
    meant = next(iter(get_close_matches(word, [*COMMANDS, "help", "version"], n=1)), "")
    return f"--{meant}" if meant in {"help", "version"} else meant


def _run_handler(argv: list[str]) -> int:
    from .drop_in import run  # noqa: PLC0415 - a command of ours is to work, and say what it is, without trio

    return run(argv, os.environ)


def _run_command_line() -> int:
    try:
        from .cli.app import app  # noqa: PLC0415 - the executable of the layers does not have it
    except ModuleNotFoundError as error:
        print(
            f"aws-lambda-post-runner: this build ({BUILD}) only runs handlers, for it has no {error.name}; "
            "usage: aws-lambda-post-runner HANDLER ARGS...",
            file=sys.stderr,
        )
        return 2
    app()
    raise AssertionError  # it ends with SystemExit, whatever was asked
