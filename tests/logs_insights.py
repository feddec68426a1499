"""The part of CloudWatch Logs Insights' language, and of its filter patterns, that our pages use.

Written from https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. What is not known is an error.
"""

import json
import re
from collections.abc import Callable, Iterable
from statistics import mean
from typing import Any

Row = dict[str, Any]

_TOKEN = re.compile(r'\s*(\(|\)|\[|\]|,|"[^"]*"|!=|>=|<=|=|>|<|[@$\w.]+)')
_AGGREGATES: dict[str, Callable[[list[Any]], float]] = {"count": len, "avg": mean, "max": max}


def run(query: str, lines: Iterable[str]) -> list[Row]:
    """What a query finds in these lines, which came one after the other."""
    rows = [_row(number, line) for number, line in enumerate(lines)]
    columns: list[str] = []
    for command in (part.strip() for part in query.split("|")):
        name, _, rest = command.partition(" ")
        match name:
            case "fields":
                columns = [each.strip() for each in rest.split(",")]
            case "filter":
                rows = [row for row in rows if _Condition(rest).holds(row)]
            case "sort":
                field, _, order = rest.partition(" ")
                assert order in {"asc", "desc"}, command
                rows.sort(key=lambda row, field=field: row[field], reverse=order == "desc")  # type: ignore[misc]
            case "limit":
                rows = rows[: int(rest)]
            case "stats":
                rows, columns = _aggregate(rest, rows), []
            case _:
                raise AssertionError(command)
    return [{name: row.get(name) for name in columns} for row in rows] if columns else rows


def _row(number: int, line: str) -> Row:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = {}
    # A field that is null is discovered, and has no value.
    known = {name: value for name, value in fields.items() if value is not None}
    return {**known, "@timestamp": number, "@message": line}


def _aggregate(text: str, rows: list[Row]) -> list[Row]:
    aggregates, _, by = text.partition(" by ")
    keys = [each.strip() for each in by.split(",")]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    found = []
    for values, members in groups.items():
        result: Row = dict(zip(keys, values, strict=True))
        for aggregate in aggregates.split(", "):
            parts = re.fullmatch(r"(\w+)\(([*\w]+)\) as (\w+)", aggregate.strip())
            assert parts, aggregate
            function, field, name = parts.groups()
            given = [1 if field == "*" else row[field] for row in members if field == "*" or field in row]
            result[name] = _AGGREGATES[function](given)
        found.append(result)
    return found


class _Condition:
    """`and`, `or`, brackets, comparisons, `in [...]` and `like "..."`."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        assert "".join(self._tokens) == re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", text), text

    def holds(self, row: Row) -> bool:
        rest = self._tokens.copy()
        value = self._either(rest, row)
        assert not rest, rest
        return value

    def _either(self, rest: list[str], row: Row) -> bool:
        value = self._both(rest, row)
        while rest and rest[0] == "or":
            rest.pop(0)
            value = self._both(rest, row) or value
        return value

    def _both(self, rest: list[str], row: Row) -> bool:
        value = self._one(rest, row)
        while rest and rest[0] == "and":
            rest.pop(0)
            value = self._one(rest, row) and value
        return value

    def _one(self, rest: list[str], row: Row) -> bool:
        first = rest.pop(0)
        if first == "(":
            value = self._either(rest, row)
            assert rest.pop(0) == ")"
            return value
        seen, operator = row.get(first), rest.pop(0)
        if operator == "in":
            end = rest.index("]")
            wanted = [_literal(each) for each in rest[1:end] if each != ","]
            del rest[: end + 1]
            return seen in wanted
        wanted_one = _literal(rest.pop(0))
        match operator:
            case "=":
                return bool(seen == wanted_one)
            case "!=":
                return bool(seen != wanted_one)
            case ">":
                return seen is not None and bool(seen > wanted_one)
            case "like":
                return isinstance(seen, str) and wanted_one in seen
        raise AssertionError(operator)


def _literal(token: str) -> Any:
    return token[1:-1] if token.startswith('"') else int(token)


def matches(pattern: str, line: str) -> bool:
    """Whether a filter pattern, of JSON fields or of terms, takes a line."""
    if not pattern.startswith("{"):
        return all(term in line for term in re.findall(r'"([^"]*)"', pattern))
    comparisons = re.findall(r'\$\.(\w+) = "([^"]*)"', pattern)
    assert re.sub(r"\s", "", pattern) == (
        "{" + "&&".join(f'$.{name}="{value}"' for name, value in comparisons).replace(" ", "") + "}"
    )
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    return all(fields.get(name) == value for name, value in comparisons)
