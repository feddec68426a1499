"""What is counted and timed of each invocation, as lines in CloudWatch's embedded metric format. Pure: no IO.

CloudWatch takes the metrics out of a log event that is such a document and nothing else
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html),
so a line has no prefix of any kind, whatever the function's log format is.
"""

import json
from dataclasses import dataclass

NAMESPACE_LIMIT = 1024
"""Characters that a namespace may have; the specification's figure."""

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
    """The level that Lambda is to see in a line; it must pass the function's own filter, or the line is dropped
    (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html)."""


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
        "level": source.level,
        **dimensions,
        **values,
    }
    return json.dumps(record).encode() + b"\n"
