"""Each line has the fields that the reference names, and the queries of the page find what they say."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import aws_lambda_post_runner

from .conftest import Prepare
from .logs_insights import Row, matches, run
from .running import HandlerConnection, Stage

PACKAGE = Path(aws_lambda_post_runner.__file__).parent
REFERENCE = (PACKAGE / "REFERENCE.md").read_text(encoding="utf-8")
PAGE = (PACKAGE / "post" / "README.md").read_text(encoding="utf-8")
WITH_EACH = {"timestamp", "level", "requestId", "logger", "message"}
WITH_POST_WORK = WITH_EACH | {"event", "outcome"}
JSON = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}


def table() -> Iterator[tuple[str, set[str], set[str]]]:
    """The reference's rows: an event, its levels and its fields."""
    for line in REFERENCE.splitlines():
        row = re.fullmatch(r"\| `([a-z-]+)` \| ([A-Z][^|]*) \| [^|]+ \| ([^|]+) \|", line)
        if row:
            event, levels, fields = row.groups()
            yield event, set(re.findall("[A-Z]{4,}", levels)), set(re.findall("`(\\w+)`", fields))


EVENTS = {event: (levels, fields) for event, levels, fields in table()}


def query(beginning: str) -> str:
    """The first query of the page after these words."""
    _, _, rest = PAGE.partition(beginning)
    assert rest, beginning
    return rest.split("```")[1].strip()


def invoke(stage: Stage, handler: HandlerConnection, commands: str, waits: Mapping[str, bool]) -> str:
    """Have one invocation answered whose post command runs these; `waits` tells which waits end."""
    stage.run_after(commands)
    request_id = stage.next_invocation(handler)
    for name, ends in waits.items():
        body = json.dumps({"name": name}).encode()
        asked = handler.exchange("POST", "/post-runner/v1/invocation/current/wait", body)
        if ends:
            handler.exchange("DELETE", f"/post-runner/v1/wait/{json.loads(asked.body)['token']}")
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)  # before the next one changes what it runs
    return request_id


@dataclass
class Told:
    """All kinds of lines about post work, and the request ids of the invocations that they are about."""

    lines: list[str]
    well: str
    """Succeeded; one wait ended well, one was given up."""
    kept: str
    """Failed twice, and the fallback command has kept it."""
    lost: str
    """Likewise, and it could not be kept."""
    skipped: list[str]

    def about(self, request_id: str) -> list[Row]:
        return [row for row in map(json.loads, self.lines) if row.get("requestId") == request_id]


def everything(prepare: Prepare, folder: Path, log_format: Mapping[str, str]) -> Told:
    """Let everything happen that is told with fields, and keep what is said."""
    lose = folder / "lose"
    stage = prepare(
        BREAKER="2/1s",
        RETRIES="1",
        FALLBACK_COMMAND=f"[ ! -e {lose} ]",
        TIMEOUT="3s",
        LOG_LEVEL="debug",
        environment=log_format,
    )
    handler = stage.runner.connect()
    well = invoke(stage, handler, "exit 0", {"flush": True, "mail": False})
    kept = invoke(stage, handler, "exit 3", {})
    stage.runner.await_event("fallback-command-ended", kept)
    lose.touch()
    lost = invoke(stage, handler, "exit 3", {})
    stage.runner.await_event("fallback-command-ended", lost)
    lose.unlink()
    skipped: list[str] = []
    # On a slow machine the pause may be over, and one is tried, which fails.
    while not any(is_skipped(stage, each) for each in skipped):
        skipped.append(invoke(stage, handler, "exit 3", {}))
    while not stage.runner.events("breaker-closed"):
        invoke(stage, handler, "exit 0", {})
    stage.runner.end_handler()
    stage.runner.wait()
    return Told(stage.runner.said().splitlines(), well, kept, lost, skipped)


def is_skipped(stage: Stage, request_id: str) -> bool:
    end = stage.runner.await_event("post-command-ended", request_id)
    return end["exitStatus"] is None and end["problem"] is not None


def test_each_line_has_the_fields_that_the_reference_names_and_no_other(
    prepare: Prepare, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in everything(prepare, tmp_path, JSON).lines]
    with_post_work = [row for row in rows if "event" in row]
    assert {row["event"] for row in with_post_work} == set(EVENTS)
    for row in with_post_work:
        levels, fields = EVENTS[row["event"]]
        assert set(row) == WITH_POST_WORK | fields, row
        assert row["level"] in levels, row
    assert all(set(row) == WITH_EACH for row in rows if "event" not in row)
    assert {row["logger"] for row in rows} == {"aws-lambda-post-runner"}


def test_each_field_is_explained_in_the_reference() -> None:
    explained = set()
    for line in REFERENCE.splitlines():
        if names := re.match(r"\| ((?:`\w+`(?:, )?)+) \|", line):
            explained |= set(re.findall(r"`(\w+)`", names[1]))
    assert set().union(*(fields for _, fields in EVENTS.values())) <= explained


def test_the_queries_find_what_the_page_says(prepare: Prepare, tmp_path: Path) -> None:
    told = everything(prepare, tmp_path, JSON)
    wrong = run(query("the newest first:"), told.lines)
    assert {row["level"] for row in wrong} == {"WARN", "ERROR"}
    assert {told.lost, told.kept, told.well} <= {row["requestId"] for row in wrong}
    assert [row["@timestamp"] for row in wrong] == sorted((row["@timestamp"] for row in wrong), reverse=True)
    lost = run(query("What is lost for good"), told.lines)
    assert [(row["requestId"], row["reason"]) for row in lost] == [(told.lost, "failed")]
    ended = run(query("How post commands ended"), told.lines)
    counted = {(row.get("exitStatus"), row.get("cutOffBy")): row["commands"] for row in ended}
    assert counted[3, None] >= 2
    assert counted[0, None] >= 2
    assert all(row["longest"] >= row["average"] >= 0 for row in ended)
    [given_up] = run(query("Which waits are given up"), told.lines)
    assert (given_up["requestId"], given_up["expiredNames"], given_up["cutOffBy"]) == (
        told.well,
        ["mail"],
        "timeout",
    )
    about_one = query("Everything about one invocation").replace(
        "8476a536-e9f4-11e8-9739-2dfe598c3fcd", told.kept
    )
    found = [row["message"] for row in run(about_one, told.lines)]
    assert found == [row["message"] for row in told.about(told.kept)]
    assert len(found) >= 3


def test_the_filters_of_metrics_count_what_is_lost_for_good(prepare: Prepare, tmp_path: Path) -> None:
    told = everything(prepare, tmp_path, JSON)
    taken = [line for line in told.lines if matches(query("A metric filter"), line)]
    assert [json.loads(line)["requestId"] for line in taken] == [told.lost]


def test_in_text_what_went_wrong_and_what_is_lost_are_found_as_well(prepare: Prepare, tmp_path: Path) -> None:
    told = everything(prepare, tmp_path, {})
    wrong = run(query("In the text format"), told.lines)
    assert all(re.match(r"\[(WARN|ERROR)\]\t", row["@message"]) for row in wrong)
    assert any(told.lost in row["@message"] for row in wrong)
    for_text = PAGE.partition("A metric filter")[2].split("```")[3].strip()
    [line] = [line for line in told.lines if matches(for_text, line)]
    assert told.lost in line


@pytest.mark.parametrize("broken", ["parse @message", "filter a ~ b", "stats sum(x) as y by z"])
def test_what_the_evaluator_does_not_know_is_an_error(broken: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        run(broken, ["{}"])
