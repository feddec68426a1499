"""What is counted and timed of each invocation, as lines in CloudWatch's embedded metric format. No IO of its own.

CloudWatch takes the metrics out of a log event that is such a document and nothing else
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html),
so a line has no prefix of any kind, whatever the function's log format is.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_lambda_post_runner.report import timestamp
from aws_lambda_post_runner.settings import Level, Settings

from .account import Account
from .retry import Loss

_MILLISECONDS = "Milliseconds"
_COUNT = "Count"
_QUALIFIED = 8
"""Parts of an ARN that names a version or an alias; without one there are seven
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html)."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one invocation adds to the metrics. Times are in ms."""

    answer_ms: float | None
    """From the event that was handed out to the answer that was accepted; None if we did not see the event."""
    post_ms: float
    """From the accepted answer to the end of the post work: the commands and the waits."""
    held_ms: float
    """How long a poll of the handler's was held for it."""
    wait_ms: float
    """How long we waited for what the handler asked us to wait for, after the command had ended."""
    budget_left_ms: float | None
    """What the post work left of its budget; None if nothing bounds it."""
    failed: bool = False
    cut_off: bool = False
    skipped: bool = False
    retried: int = 0
    spilled: bool = False
    waits_expired: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """What all lines of one function have in common."""

    namespace: str
    function_name: str
    level: str
    """The level that Lambda is to see in a line; it must pass the function's own filter, or the line is dropped.
    Without a timestamp beside it Lambda would take it for INFO
    (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html)."""


def source_of(settings: Settings, environment: Mapping[str, str]) -> Source:
    """What the settings and Lambda's own variables say of the lines of this function."""
    level = max(Level.INFO, settings.lambda_level, key=lambda level: level.value)
    name = environment.get("AWS_LAMBDA_FUNCTION_NAME") or "unknown"
    return Source(settings.metrics_namespace, name, level.name)


class Metrics:
    """Makes a line of each account, and has it written by `write`."""

    def __init__(self, source: Source, write: Callable[[bytes], None]) -> None:
        self._source = source
        self._write = write

    def keep(self, account: Account) -> None:
        """Write the line of an invocation."""
        invocation = account.settled.invocation
        line = invocation_line(
            self._source,
            figures_of(account),
            request_id=invocation.request_id,
            function_arn=invocation.function_arn,
            now=account.ended_at,
        )
        self._write(line)

    def keep_start(self, start: float, now: float) -> None:
        """Write the line of the execution environment: what we added to its cold start, in seconds."""
        self._write(start_line(self._source, start * 1000, now))


def figures_of(account: Account) -> Figures:
    """What an account adds to the metrics."""
    handed_out_at = account.settled.invocation.handed_out_at
    course = account.course
    loss = None if course is None else course.loss
    return Figures(
        answer_ms=None if handed_out_at is None else _ms(account.settled_at - handed_out_at),
        post_ms=_ms(account.ended_at - account.settled_at),
        held_ms=_ms(account.held),
        wait_ms=0.0 if account.waits is None else account.waits.duration_ms,
        budget_left_ms=None if account.budget_left is None else _ms(account.budget_left),
        failed=loss is Loss.FAILED,
        cut_off=loss is Loss.CUT_OFF,
        skipped=loss is Loss.SKIPPED,
        retried=0 if course is None else course.retries,
        spilled=course is not None and course.spilled,
        waits_expired=0 if account.waits is None else len(account.waits.expired),
    )


def _ms(seconds: float) -> float:
    # A clock that was set back must not make a metric that nobody can make sense of.
    return max(0.0, seconds * 1000)


def invocation_line(
    source: Source, figures: Figures, *, request_id: str, function_arn: str, now: float
) -> bytes:
    """One line for one invocation that ended at `now` (seconds since 1970)."""
    milliseconds = {
        "AnswerMs": figures.answer_ms,
        "PostMs": figures.post_ms,
        "HeldMs": figures.held_ms,
        "WaitMs": figures.wait_ms,
        "BudgetLeftMs": figures.budget_left_ms,
    }
    counts = {
        "Failed": int(figures.failed),
        "CutOff": int(figures.cut_off),
        "Skipped": int(figures.skipped),
        "Retried": figures.retried,
        "Spilled": int(figures.spilled),
        "WaitsExpired": figures.waits_expired,
    }
    known = {name: round(value, 3) for name, value in milliseconds.items() if value is not None}
    units = dict.fromkeys(known, _MILLISECONDS) | dict.fromkeys(counts, _COUNT)
    values = {**known, **counts, "requestId": request_id}
    return _document(source, units, values, qualifier_of(function_arn), now)


def start_line(source: Source, start_ms: float, now: float) -> bytes:
    """The one line of an execution environment: what we added to its cold start."""
    return _document(source, {"StartMs": _MILLISECONDS}, {"StartMs": round(start_ms, 3)}, "", now)


def qualifier_of(function_arn: str) -> str:
    """The alias or version in the ARN that was invoked; empty if it names none."""
    parts = function_arn.split(":")
    return parts[-1] if len(parts) == _QUALIFIED else ""


def _document(
    source: Source, units: dict[str, str], values: dict[str, object], alias: str, now: float
) -> bytes:
    # Each set of dimensions is a metric of its own, and billed as one: the alias makes a second set, not the only
    # one, so that an alarm on the function sees all of its invocations.
    dimensions = {"FunctionName": source.function_name} | ({"Alias": alias} if alias else {})
    sets = [["FunctionName"], ["FunctionName", "Alias"]] if alias else [["FunctionName"]]
    directive = {
        "Namespace": source.namespace,
        "Dimensions": sets,
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
    }
    record = {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
        "timestamp": timestamp(now),
        "level": source.level,
        **dimensions,
        **values,
    }
    return json.dumps(record).encode() + b"\n"
