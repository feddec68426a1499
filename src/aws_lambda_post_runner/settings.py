"""What we were told: the environment, read into one frozen dataclass.

Each variable stands once, in VARIABLES, with what it means and what is valid. The command line, the
README's table and `check` are made from the same rows.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import Generic, TypeVar

from .origin import is_ourselves
from .runtime_api import ADDRESS_VARIABLE

PREFIX = "AWS_LAMBDA_POST_RUNNER_"

_DIGITS = 15
"""Of more digits no number here has any use, and int() and float() have trouble with hundreds of them."""

_NAMESPACE = re.compile(r"[0-9A-Za-z.\-_/#: ]{0,255}")
"""What a namespace may be made of, which also must not begin with a colon
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html)."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Mode(Enum):
    """When the post command runs. Several can be given."""

    AFTER_RESPONSE = "AfterResponse"
    AFTER_ERROR = "AfterError"
    ON_REQUEST = "OnRequest"
    WAIT_UNTIL = "WaitUntil"
    BEFORE_TIMEOUT = "BeforeTimeout"


class Level(Enum):
    """How much a line matters; the names are Lambda's own."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    FATAL = 5


class SettingsError(Exception):
    """Settings that cannot be used; `lines` has one line for each: variable, value seen, valid values."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Variable(Generic[T_co]):
    """One setting. `parse` gets the stripped text and raises ValueError, with a hint or empty, if it is wrong.

    A variable that is empty is not set: `default` is parsed in its place, and is itself in the form that people write.
    """

    name: str
    default: str
    meaning: str
    valid: str
    parse: Callable[[str], T_co]
    full_name: str = field(init=False)
    """The name in the environment."""
    unset: T_co = field(init=False)
    """The value where it is not set. Most are not, and a start need not parse them."""

    def __post_init__(self) -> None:
        """Fill in what follows from the rest."""
        object.__setattr__(self, "full_name", PREFIX + self.name)
        object.__setattr__(self, "unset", self.parse(self.default))


@dataclass(frozen=True, slots=True)
class Settings:
    """All that we were told. Durations are in seconds, sizes in bytes."""

    runtime_api: tuple[str, int]
    command: str
    modes: frozenset[Mode]
    shell: str
    level: Level
    json_log: bool
    timeout: float | None
    margin: float
    grace: float
    capture: frozenset[str]
    capture_limit: int
    next_wrapper: str
    ambient: frozenset[str]
    """The frameworks in Node that are given a `waitUntil`."""
    breaker: tuple[int, float] | None
    """After how many failures in a row post commands are skipped, and for how long; None: they never are."""
    retries: int
    fallback_command: str
    fallback_reserve: float
    metrics: bool
    """Whether each invocation gets a line of metrics."""
    metrics_namespace: str
    spans: bool
    """Whether post work of a traced invocation is sent as a span."""
    lambda_level: Level
    """From what level on Lambda itself keeps lines, where it can read their level."""
    settle: float | None
    """For how long an answer is followed by a settling time; None: by none."""
    max_concurrency: int | None
    """How many invocations can be in flight at once on Lambda Managed Instances; elsewhere None."""
    observer_fd: int | None


def _nearest(word: str, words: list[str]) -> str:
    near = get_close_matches(word.casefold(), [each.casefold() for each in words], n=1)
    return next((each for each in words if near and each.casefold() == near[0]), "")


def _one_of(text: str, words: list[str]) -> str:
    for word in words:
        if word.casefold() == text.casefold():
            return word
    near = _nearest(text, words)
    raise ValueError(f"did you mean {near}?" if near else "")


def _some_of(text: str, words: list[str]) -> frozenset[str]:
    found = frozenset(_one_of(part.strip(), words) for part in text.split(",") if part.strip())
    if not found and text:
        raise ValueError
    return found


def _text(text: str) -> str:
    return text


def _wrapper(text: str) -> str:
    if text and is_ourselves(text):
        raise ValueError("that is this runner itself")
    return text


def _modes(text: str) -> frozenset[Mode]:
    return frozenset(Mode(word) for word in _some_of(text, [mode.value for mode in Mode]))


def _level_or_none(text: str) -> Level | None:
    return Level[_one_of(text, [level.name for level in Level])] if text else None


def _duration(text: str) -> float:
    """Seconds, from text such as `500ms`, `30s` or `2m`."""
    for unit, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0)):
        number = text.removesuffix(unit)
        if number != text:
            return _not_negative(number) * seconds
    raise ValueError("the unit is missing" if text.replace(".", "", 1).isdigit() else "")


def _duration_or_none(text: str) -> float | None:
    return _duration(text) if text else None


def _not_negative(number: str) -> float:
    # float() alone would take "nan", "inf", "-1" and "1_000", and make inf of 400 digits.
    if not number.strip().replace(".", "", 1).isdecimal() or len(number) > _DIGITS:
        raise ValueError
    return float(number)


def _size(text: str) -> int:
    """Bytes, from text such as `6MiB`, `512KiB` or `1000`."""
    for unit, size in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)):
        if text.endswith(unit):
            return int(_not_negative(text.removesuffix(unit)) * size)
    raise AssertionError  # every text ends with ""


def _capture(text: str) -> frozenset[str]:
    return _some_of(text, ["event", "response"])


def _ambient(text: str) -> frozenset[str]:
    return _some_of(text, ["next", "vercel"])


def _breaker(text: str) -> tuple[int, float] | None:
    """Failures in a row and the pause in seconds, from text such as `5/60s`."""
    if not text:
        return None
    number, slash, pause = text.partition("/")
    if not slash:
        raise ValueError("the pause is missing")
    if (failures := _count(number.strip())) == 0:
        raise ValueError("it would skip every command")
    return failures, _duration(pause.strip())


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > _DIGITS:
        raise ValueError
    return int(text)


def _is_emf(text: str) -> bool:
    return bool(text and _one_of(text, ["emf"]))


def _is_otlp(text: str) -> bool:
    return bool(text and _one_of(text, ["otlp"]))


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError
    if text.startswith((":", "AWS/")):
        raise ValueError("no namespace of one's own begins so")
    return text


COMMAND = Variable(
    "COMMAND", "", "The post command: what runs after each invocation.", "any command of the shell", _text
)
MODE = Variable(
    "MODE",
    "AfterResponse,AfterError",
    "After what the command runs. OnRequest: only when the handler asked for it. WaitUntil: no command of its "
    "own, only what the handler asked to wait for. BeforeTimeout: while the handler still runs, MARGIN before the "
    "function is killed.",
    "AfterResponse, AfterError, OnRequest, WaitUntil, BeforeTimeout, or several with commas between",
    _modes,
)
SHELL = Variable("SHELL", "/bin/bash", "The shell that gets `-c COMMAND`.", "a path", _text)
BREAKER = Variable(
    "BREAKER",
    "",
    "After how many failures or cut-offs in a row post commands are skipped, and for how long; then one is tried.",
    "failures in a row and a pause, such as 5/60s",
    _breaker,
)
RETRIES = Variable(
    "RETRIES",
    "0",
    "How often a post command that failed is run again, as long as its budget lasts.",
    "a whole number",
    _count,
)
FALLBACK_COMMAND = Variable(
    "FALLBACK_COMMAND",
    "",
    "What runs instead where the post command failed, was cut off or was skipped, to keep what would be lost.",
    "any command of the shell",
    _text,
)
FALLBACK_RESERVE = Variable(
    "FALLBACK_RESERVE",
    "1s",
    "The part of the budget that is kept for the fallback command; half of the budget at most.",
    "a duration such as 500ms, 30s or 2m",
    _duration,
)
METRICS = Variable(
    "METRICS",
    "",
    "Whether each invocation gets a line from which CloudWatch takes metrics, in its embedded metric format.",
    "emf",
    _is_emf,
)
METRICS_NAMESPACE = Variable(
    "METRICS_NAMESPACE",
    "PostRunner",
    "The namespace of these metrics.",
    "up to 255 letters, digits, spaces and .-_/#: but not AWS/ or a colon first",
    _namespace,
)
SPANS = Variable(
    "SPANS",
    "",
    "Whether the post work of each traced invocation is sent as a span, to where OpenTelemetry's own variables say, "
    "such as OTEL_EXPORTER_OTLP_ENDPOINT.",
    "otlp",
    _is_otlp,
)
LOG_LEVEL = Variable(
    "LOG_LEVEL",
    "",
    "From what level on we log; without it AWS_LAMBDA_LOG_LEVEL, and without that warn.",
    "trace, debug, info, warn, error, fatal",
    _level_or_none,
)
TIMEOUT = Variable(
    "TIMEOUT",
    "",
    "How long the post work of an invocation may take; by default only the function's own timeout bounds it.",
    "a duration such as 500ms, 30s or 2m",
    _duration_or_none,
)
MARGIN = Variable(
    "MARGIN",
    "500ms",
    "How long before the function's own timeout post work has to end, and a command of BeforeTimeout begins.",
    "a duration such as 500ms, 30s or 2m",
    _duration,
)
GRACE = Variable(
    "GRACE",
    "200ms",
    "How long a command that has to end has between SIGTERM and SIGKILL.",
    "a duration such as 500ms, 30s or 2m",
    _duration,
)
CAPTURE = Variable(
    "CAPTURE",
    "",
    "What the command gets as files, in EVENT_FILE and RESPONSE_FILE.",
    "event, response, or both with a comma between",
    _capture,
)
CAPTURE_LIMIT = Variable(
    "CAPTURE_LIMIT",
    "6MiB",
    "The size up to which an event or a response is captured.",
    "a size such as 512KiB or 6MiB",
    _size,
)
NEXT_WRAPPER = Variable(
    "NEXT_WRAPPER", "", "Another exec wrapper, to start the handler through.", "a path", _wrapper
)
AMBIENT = Variable(
    "AMBIENT",
    "",
    "Which frameworks in the handler's Node find a waitUntil of ours, such as Next's after().",
    "next, vercel, or both with a comma between",
    _ambient,
)
SETTLE = Variable(
    "SETTLE",
    "",
    "How long the next poll is held after each answer, for exporters that need nothing but time; it goes on earlier "
    "once the handler's processes are quiet.",
    "a duration such as 500ms, 30s or 2m",
    _duration_or_none,
)
DISABLED = Variable(
    "DISABLED", "", "A reason to start the handler as if we were not there.", "any text", _text
)
OBSERVER_FD = Variable(
    "OBSERVER_FD", "", "A descriptor that gets what happens as JSON lines; used by `dev`.", "a number", _text
)

VARIABLES: tuple[Variable[object], ...] = (
    COMMAND,
    MODE,
    TIMEOUT,
    MARGIN,
    GRACE,
    SHELL,
    CAPTURE,
    CAPTURE_LIMIT,
    NEXT_WRAPPER,
    AMBIENT,
    SETTLE,
    BREAKER,
    RETRIES,
    FALLBACK_COMMAND,
    FALLBACK_RESERVE,
    METRICS,
    METRICS_NAMESPACE,
    SPANS,
    LOG_LEVEL,
    DISABLED,
)
"""The settings that people use, in the order in which the README has them."""


class _Reader:
    """Reads variables one by one and notes what is wrong, so that people see all of it at once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def read(self, variable: Variable[T]) -> T:
        """The variable's value; the default where it is not set or empty, and where it is wrong."""
        seen = self._environ.get(variable.full_name, "")
        text = seen.strip()
        if not text:
            return variable.unset
        try:
            return variable.parse(text)
        except ValueError as error:
            self.wrong(variable, seen, str(error))
            return variable.unset

    def wrong(self, variable: Variable[T], seen: str, hint: str) -> None:
        hint = f" ({hint})" if hint else ""
        self.problems.append(f"{variable.full_name} is {seen!r}{hint}; valid: {variable.valid}")

    def read_number(self, name: str) -> int | None:
        """A number that Lambda, not a person, writes: what does not read as one counts as not there."""
        text = self._environ.get(name, "")
        return int(text) if text.isdecimal() and len(text) <= _DIGITS else None

    def read_address(self) -> tuple[str, int]:
        """The Runtime API's host and port; an empty host if they cannot be told."""
        text = self._environ.get(ADDRESS_VARIABLE, "")
        address = parse_address(text)
        if address is None:
            self.problems.append(f"{ADDRESS_VARIABLE} is {text!r}; valid: host:port")
            return "", 0
        return address


def parse_address(text: str) -> tuple[str, int] | None:
    """Host and port from `host:port`; None if it is not that."""
    host, _, port = text.rpartition(":")
    if not host or not host.isascii() or not port.isdecimal() or len(port) > _DIGITS:
        return None
    if int(port) > 65535:
        return None
    return host.strip("[]"), int(port)


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError, with a line for each that is wrong."""
    reader = _Reader(environ)
    modes = reader.read(MODE)
    command = reader.read(COMMAND)
    if not command and modes != {Mode.WAIT_UNTIL}:
        reader.problems.append(_command_is_missing(environ))
    lambda_level = Level.__members__.get(environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
    settings = Settings(
        runtime_api=reader.read_address(),
        command=command,
        modes=modes,
        shell=reader.read(SHELL),
        level=reader.read(LOG_LEVEL) or lambda_level or Level.WARN,
        json_log=wants_json(environ),
        timeout=reader.read(TIMEOUT),
        margin=reader.read(MARGIN),
        grace=reader.read(GRACE),
        capture=reader.read(CAPTURE),
        capture_limit=reader.read(CAPTURE_LIMIT),
        next_wrapper=reader.read(NEXT_WRAPPER),
        ambient=reader.read(AMBIENT),
        settle=reader.read(SETTLE),
        breaker=reader.read(BREAKER),
        retries=reader.read(RETRIES),
        fallback_command=reader.read(FALLBACK_COMMAND),
        fallback_reserve=reader.read(FALLBACK_RESERVE),
        metrics=reader.read(METRICS),
        metrics_namespace=reader.read(METRICS_NAMESPACE),
        spans=reader.read(SPANS),
        lambda_level=lambda_level or Level.INFO,
        max_concurrency=reader.read_number("AWS_LAMBDA_MAX_CONCURRENCY"),
        observer_fd=reader.read_number(OBSERVER_FD.full_name),
    )
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def wants_json(environ: Mapping[str, str]) -> bool:
    """Whether the function's log format is JSON; Lambda sets it, so it is never wrong."""
    return environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A line for each variable that has our prefix and is none of ours: it is ignored, and perhaps misspelt."""
    known = [variable.full_name for variable in VARIABLES]
    lines = []
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name != OBSERVER_FD.full_name:
            near = _nearest(name, known)
            hint = f" (did you mean {near}?)" if near else ""
            lines.append(f"{name} is not a setting{hint}; it is ignored")
    return lines


def _command_is_missing(environ: Mapping[str, str]) -> str:
    seen = "empty" if COMMAND.full_name in environ else "not set"
    return f"{COMMAND.full_name} is {seen}; valid: {COMMAND.valid}; only mode WaitUntil alone needs none"
