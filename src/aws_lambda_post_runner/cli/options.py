"""What several commands have in common: an option for each setting, and how events and durations are read."""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from aws_lambda_post_runner import settings
from aws_lambda_post_runner.settings import MARGIN, VARIABLES, Level, Mode, Variable

SWITCH = ""
"""The metavar of an option without a value; typer would write its type there."""


HIGHEST_PORT = 65535
"""What is above it would be cut to 16 bits without a word, and another port be taken."""


@dataclass(frozen=True)
class Values:
    """What an option's value looks like, and those that a shell can complete."""

    metavar: str
    known: tuple[str, ...] = ()

    def complete(self, incomplete: str) -> list[str]:
        """Return the known values that go on from `incomplete`, whose last part counts behind a comma."""
        before, comma, last = incomplete.rpartition(",")
        return [
            before + comma + value for value in self.known if value.casefold().startswith(last.casefold())
        ]


VALUES: Mapping[Variable[object], Values] = {
    settings.COMMAND: Values("COMMAND"),
    settings.MODE: Values("MODE[,MODE]", tuple(mode.value for mode in Mode)),
    settings.TIMEOUT: Values("DURATION"),
    settings.MARGIN: Values("DURATION"),
    settings.GRACE: Values("DURATION"),
    settings.SHELL: Values("PATH"),
    settings.CAPTURE: Values("event[,response]", ("event", "response")),
    settings.CAPTURE_LIMIT: Values("SIZE"),
    settings.NEXT_WRAPPER: Values("PATH"),
    settings.AMBIENT: Values("next[,vercel]", ("next", "vercel")),
    settings.SETTLE: Values("DURATION"),
    settings.BREAKER: Values("FAILURES/PAUSE"),
    settings.RETRIES: Values("NUMBER"),
    settings.FALLBACK_COMMAND: Values("COMMAND"),
    settings.FALLBACK_RESERVE: Values("DURATION"),
    settings.METRICS: Values("emf", ("emf",)),
    settings.METRICS_NAMESPACE: Values("NAME"),
    settings.SPANS: Values("otlp", ("otlp",)),
    settings.LOG_LEVEL: Values("LEVEL", tuple(level.name.lower() for level in Level)),
    settings.DISABLED: Values("REASON"),
}


def _flag(variable: Variable[object]) -> str:
    return f"--{variable.name.lower().replace('_', '-')}"


class WithSettings:
    """A command that has an option for each setting beside its own; it gets what was given as `given`.

    `given` has the variables' full names, so that an environment with `given` on top is what the options say.
    """

    __signature__: inspect.Signature

    def __init__(self, command: Callable[..., None]) -> None:
        functools.update_wrapper(self, command)
        self._command = command
        own = [each for each in inspect.signature(command).parameters.values() if each.name != "given"]
        self.__signature__ = inspect.Signature([*own, *map(_parameter, VARIABLES)])

    def __call__(self, **arguments: Any) -> None:
        """Call the command with its own arguments and the settings that were given."""
        values = {variable.full_name: arguments.pop(variable.name.lower()) for variable in VARIABLES}
        self._command(given={name: value for name, value in values.items() if value is not None}, **arguments)


def _parameter(variable: Variable[object]) -> inspect.Parameter:
    return inspect.Parameter(
        variable.name.lower(),
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, _option(variable)],
    )


def _option(variable: Variable[object]) -> Any:
    """Return the option that stands for a setting; it wins over the variable."""
    values = VALUES.get(variable, Values("TEXT"))
    default = f" By default {variable.default}." if variable.default else ""
    # A path or a text says by its metavar what is valid.
    valid = "" if values.metavar in {"COMMAND", "PATH", "REASON"} else f" Valid: {variable.valid}."
    return typer.Option(
        _flag(variable),
        metavar=values.metavar,
        help=f"{variable.meaning}{valid}{default} ({variable.full_name})",
        show_default=False,
        autocompletion=values.complete if values.known else None,
        rich_help_panel="Settings, each also an environment variable",
    )


def check_given(given: Mapping[str, str]) -> None:
    """Refuse what is no value of its setting, by the option's name. Raises BadParameter for the first."""
    for variable in VARIABLES:
        text = given.get(variable.full_name, "").strip()
        try:
            variable.parse(text or variable.default)
        except ValueError as problem:
            hint = f" ({problem})" if str(problem) else ""
            message = f"{text!r}{hint}; valid: {variable.valid}"
            raise typer.BadParameter(message, param_hint=_flag(variable)) from None


def read_duration(text: str, option: str) -> float:
    """Return the seconds that an option says."""
    try:
        return MARGIN.parse(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not {MARGIN.valid}", param_hint=option) from None


def read_event(text: str, option: str) -> bytes:
    """Return the event that an option means: JSON text, @FILE, or - for standard input."""
    try:
        event = _text_of(text)
        json.loads(event)
    except OSError as problem:
        raise typer.BadParameter(f"{problem.filename}: {problem.strerror}", param_hint=option) from None
    except ValueError as problem:
        raise typer.BadParameter(f"not JSON: {problem}", param_hint=option) from None
    return event.encode()


def _text_of(argument: str) -> str:
    if argument == "-":
        return sys.stdin.read()
    return Path(argument[1:]).read_text() if argument.startswith("@") else argument
