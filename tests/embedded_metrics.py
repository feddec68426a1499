"""The embedded metric format's rules, written anew from its specification, and what a line that follows them says.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from typing import Any

UNITS = {
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"),
    *(
        f"{size}{what}".capitalize() + rate
        for size in ("", "Kilo", "Mega", "Giga", "Tera")
        for what in ("bytes", "bits")
        for rate in ("", "/Second")
    ),
}


def problems(line: str) -> list[str]:
    """All that the specification's schema and its prose forbid in this log event; empty if it is valid."""
    try:
        root = json.loads(line)
    except ValueError:
        return ["the whole log event is not JSON"]
    if not isinstance(root, dict) or not isinstance(root.get("_aws"), dict):
        return ["the root has no object _aws"]
    found = _problems_of_metadata(root["_aws"])
    if found:
        return found
    return [
        problem
        for directive in root["_aws"]["CloudWatchMetrics"]
        for problem in _problems_of_directive(directive, root)
    ]


def _problems_of_metadata(metadata: dict[str, Any]) -> list[str]:
    found = []
    stamp = metadata.get("Timestamp")
    if not isinstance(stamp, int) or isinstance(stamp, bool) or stamp < 10**12:
        found.append("Timestamp is not a number of ms since 1970")
    directives = metadata.get("CloudWatchMetrics")
    if not isinstance(directives, list) or not directives:
        found.append("CloudWatchMetrics is not an array of directives")
    elif not all(isinstance(each, dict) for each in directives):
        found.append("a directive is not an object")
    return found


def _problems_of_directive(directive: dict[str, Any], root: dict[str, Any]) -> list[str]:
    found = [f"{name} is missing" for name in ("Namespace", "Dimensions", "Metrics") if name not in directive]
    if found:
        return found
    if not _is_text(directive["Namespace"], 1024):
        found.append("Namespace is not a text of 1 to 1024 characters")
    sets = directive["Dimensions"]
    if not isinstance(sets, list) or not sets or not all(isinstance(each, list) for each in sets):
        return [*found, "Dimensions is not an array of at least one array"]
    for names in sets:
        if len(names) > 30:
            found.append("a dimension set has more than 30 names")
        found += [problem for name in names for problem in _problems_of_dimension(name, root)]
    metrics = directive["Metrics"]
    if not isinstance(metrics, list) or len(metrics) > 100:
        return [*found, "Metrics is not an array of at most 100 definitions"]
    names = [metric.get("Name") for metric in metrics]
    if len(names) != len(set(names)):
        found.append("a metric is defined twice")
    return found + [problem for metric in metrics for problem in _problems_of_metric(metric, root)]


def _problems_of_dimension(name: object, root: dict[str, Any]) -> list[str]:
    if not isinstance(name, str) or not _is_text(name, 250) or name.startswith(":"):
        return [f"{name!r} is no name of a dimension"]
    value = root.get(name)
    if not isinstance(value, str) or not _is_text(value, 1024) or not value.isascii() or not value.strip():
        return [f"the dimension {name} has no text of 1 to 1024 characters at the root"]
    return []


def _problems_of_metric(metric: dict[str, Any], root: dict[str, Any]) -> list[str]:
    found = []
    name = metric.get("Name")
    if not isinstance(name, str) or not _is_text(name, 1024):
        return [f"{name!r} is no name of a metric"]
    if metric.get("Unit", "None") not in UNITS:
        found.append(f"{name} has no known unit")
    if metric.get("StorageResolution", 60) not in (1, 60):
        found.append(f"{name} has no known resolution")
    values = root.get(name)
    values = values if isinstance(values, list) else [values]
    if len(values) > 100 or not all(isinstance(each, int | float) for each in values):
        found.append(f"{name} is not a number, nor an array of at most 100")
    return found


def _is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= limit


def metrics(line: str) -> dict[str, tuple[float, str]]:
    """The value and the unit of each metric that CloudWatch takes out of a valid line."""
    root = json.loads(line)
    return {
        metric["Name"]: (root[metric["Name"]], metric["Unit"])
        for directive in root["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }


def dimension_sets(line: str) -> list[dict[str, str]]:
    """The dimensions under which it keeps them."""
    root = json.loads(line)
    return [
        {name: root[name] for name in names}
        for directive in root["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
    ]
