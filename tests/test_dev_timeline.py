"""The timeline draws what happened, in proportion, and says what went wrong."""

import io
from typing import Any

import pytest
from rich.console import Console

from aws_lambda_post_runner.dev.moments import Moment
from aws_lambda_post_runner.dev.view.timeline import Block, Timeline, draw, in_words, rows, summary

Told = tuple[str, float, dict[str, Any]]
"""A moment: what, when, details."""

WELL: dict[str, Any] = {
    "exitStatus": 0,
    "signal": None,
    "durationMs": 2000,
    "cutOffBy": None,
    "problem": None,
}


def told(*moments: Told, request_id: str = "r1") -> Timeline:
    """Return a timeline that was told of moments."""
    environments = {"environment-started", "environment-ready", "environment-ended", "frozen", "thawed"}
    timeline = Timeline()
    for what, time, details in moments:
        timeline.add(Moment(what, time, None if what in environments else request_id, details))
    return timeline


def lines(block: Block, now: float = 100.0) -> list[str]:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(draw(block, now, 100))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def line(block: Block, label: str, now: float = 100.0) -> str:
    [found] = [each for each in lines(block, now) if each.strip().startswith(label)]
    return found


COLD: list[Told] = [
    ("sent", 10.0, {"type": "RequestResponse"}),
    ("environment-started", 10.0, {}),
    ("environment-ready", 11.0, {}),
    ("handed", 11.0, {}),
    ("settled", 12.0, {"outcome": "response", "errorType": None}),
    ("answered", 12.0, {"status": 200, "preview": '{"a": 1}'}),
    ("post-command-started", 12.0, {"pid": 1}),
]
DONE: list[Told] = [*COLD, ("post-command-ended", 14.0, WELL), ("ended", 14.0, {"how": "polled"})]


def test_a_block_is_complete_when_all_is_done_for_the_invocation() -> None:
    timeline = told(*COLD)
    assert list(timeline.open) == ["r1"]
    assert timeline.done == []
    timeline = told(*DONE)
    assert timeline.open == {}
    assert [block.number for block in timeline.done] == [1]


def test_the_bars_are_in_proportion_and_follow_one_another() -> None:
    [block] = told(*DONE).done
    bars = {label: line(block, label) for label in ("init", "handler", "post work")}
    lengths = {label: bar.count("█") for label, bar in bars.items()}
    assert lengths["init"] == pytest.approx(lengths["handler"], abs=1)
    assert lengths["post work"] == pytest.approx(2 * lengths["init"], abs=2)
    ends = {label: bar.rindex("█") for label, bar in bars.items()}
    assert ends["init"] <= bars["handler"].index("█") <= ends["init"] + 1
    assert ends["handler"] <= bars["post work"].index("█") <= ends["handler"] + 1


def test_the_times_and_statuses_are_said() -> None:
    [block] = told(*DONE).done
    assert "1.00 s" in line(block, "init")
    assert "after 2.00 s: 200" in line(block, "answer")
    assert "2.00 s, exit 0" in line(block, "post work")
    assert "after 4.00 s" in line(block, "next poll")
    assert '  → {"a": 1}' in lines(block)
    assert lines(block)[0].startswith("✓ #1 r1  RequestResponse")


def test_what_has_not_ended_reaches_to_now() -> None:
    block = told(*COLD).open["r1"]
    assert lines(block)[0].startswith("•")
    assert "1.00 s" in line(block, "post work", now=13.0)
    starting = told(*COLD[:2]).open["r1"]
    assert "5.00 s" in line(starting, "init", now=15.0)


def test_a_freeze_is_drawn_before_the_event_that_ends_it_and_cut_if_it_was_long() -> None:
    freeze: list[Told] = [("frozen", 0.0, {}), ("sent", 3600.0, {"type": "Event"}), ("thawed", 3600.0, {})]
    after: list[Told] = [
        ("handed", 3600.0, {}),
        ("settled", 3601.0, {"outcome": "response", "errorType": None}),
        ("answered", 3600.0, {"status": 202, "preview": ""}),
        ("ended", 3601.0, {"how": "polled"}),
    ]
    [block] = told(*freeze, *after).done
    frozen, handler = line(block, "frozen"), line(block, "handler")
    assert "3600.00 s before this event" in frozen
    assert frozen.count("░") == pytest.approx(handler.count("█") / 2, abs=2)
    assert frozen.rindex("░") <= handler.index("█")


def test_a_freeze_that_ended_with_its_environment_is_not_drawn_later() -> None:
    timeline = told(("frozen", 0.0, {}), ("environment-ended", 1.0, {}), ("thawed", 2.0, {}), *DONE)
    assert timeline.done[0].frozen is None


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (("settled", 12.0, {"errorType": "ValueError"}), "the handler failed: ValueError"),
        (("ended", 14.0, {"how": "timeout"}), "the function timed out"),
        (("ended", 14.0, {"how": "crash"}), "the handler ended before it polled again"),
        (("post-command-ended", 14.0, WELL | {"exitStatus": 3}), "the post command: exit 3"),
        (
            ("post-command-ended", 14.0, WELL | {"exitStatus": None, "signal": 15, "cutOffBy": "deadline"}),
            "the post command: signal 15, cut off by deadline",
        ),
        (("post-command-ended", 14.0, WELL | {"problem": "no budget was left"}), "no budget was left"),
        (("waits-ended", 14.0, {"expired": 2}), "2 of the handler's waits expired"),
    ],
)
def test_what_went_wrong_is_said(moment: Told, words: str) -> None:
    [block] = told(*COLD, moment, ("answered", 12.0, {"status": 200, "preview": ""}), *DONE[-1:]).done
    if moment[0] == "ended":
        [block] = told(*COLD, moment).done
    assert any(words in failure for failure in block.failures)
    assert lines(block)[0].startswith("✗")
    assert any(words in each for each in lines(block))


def test_an_answer_that_was_cut_short_is_said_to_be() -> None:
    cut = ("answered", 12.0, {"status": None, "preview": ""})
    [block] = told(*COLD[:5], cut, ("ended", 14.0, {"how": "crash"})).done
    assert "cut short" in line(block, "answer")
    assert "after 4.00 s" in line(block, "end")


def test_an_invocation_that_had_to_wait_for_its_turn_shows_it() -> None:
    late: list[Told] = [("sent", 10.0, {"type": "Event"}), ("handed", 12.0, {}), *DONE[4:]]
    [block] = told(*late).done
    assert "2.00 s for its turn" in line(block, "queued")
    assert "·" in line(block, "queued")


def test_a_command_that_was_run_again_is_one_bar_and_its_fallback_another() -> None:
    failed = WELL | {"exitStatus": 3}
    again: list[Told] = [
        ("post-command-started", 12.0, {"pid": 1}),
        ("post-command-started", 12.5, {"pid": 2}),
        ("post-command-ended", 13.0, failed),
        ("fallback-command-started", 13.0, {"pid": 3}),
        ("fallback-command-ended", 13.25, failed),
        ("ended", 13.5, {"how": "polled"}),
    ]
    [block] = told(*COLD[:6], *again).done
    assert "1.00 s, exit 3" in line(block, "post work")
    assert "250 ms, exit 3" in line(block, "fallback")
    assert block.failures == ["the post command: exit 3", "the fallback command: exit 3; the work is lost"]


def test_what_the_handler_waited_for_is_a_bar_too() -> None:
    waits = ("waits-ended", 13.5, {"expired": 0})
    [block] = told(*COLD[:6], waits, ("ended", 13.5, {"how": "polled"})).done
    assert "1.50 s" in line(block, "waits")
    assert [row.label for row in rows(block, 100.0)] == ["init", "handler", "answer", "waits", "next poll"]


def test_moments_of_unknown_invocations_are_passed_over() -> None:
    assert told(("handed", 1.0, {})).open == {}


def test_the_summary_says_what_all_blocks_say_together() -> None:
    blocks = told(*DONE).done
    assert summary(blocks) == (
        "1 invocation, answered after 2.00 s at most, 2.00 s of post work after the answers, none failed"
    )
    failed = told(*COLD[:6], ("ended", 14.0, {"how": "timeout"})).done
    assert summary(failed * 2) == "2 invocations, answered after 2.00 s at most, 2 failed"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0004, "0.4 ms"), (0.0414, "41 ms"), (2.006, "2.01 s"), (90, "90.00 s")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_streamed_answer_says_when_its_first_byte_came_and_how_many_parts_there_were() -> None:
    parts: list[Told] = [("answer-part", 11.5, {"bytes": 3}), ("answer-part", 11.9, {"bytes": 3})]
    [block] = told(*COLD[:4], *parts, *COLD[4:], *DONE[-2:]).done
    assert "first byte after 1.50 s, 2 parts" in line(block, "stream")


def test_each_wait_that_has_a_name_is_a_bar_with_its_duration() -> None:
    moments: list[Told] = [
        ("wait-begun", 11.2, {"name": "send_mail"}),
        ("wait-begun", 11.2, {"name": ""}),
        ("wait-begun", 11.3, {"name": "send_mail"}),
        ("wait-begun", 11.4, {"name": "a.very.long.name.of.a.function"}),
        ("wait-ended", 12.2, {"name": "send_mail", "durationMs": 1000}),
        ("wait-ended", 12.3, {"name": "", "durationMs": 1100}),
        ("waits-ended", 13.4, {"expired": 2}),
        ("ended", 13.5, {"how": "polled"}),
    ]
    [block] = told(*COLD[:6], *moments).done
    bars = [(row.note, row.style) for row in rows(block, 100.0) if row.label == "wait"]
    assert bars == [
        ("send_mail 1.00 s", "yellow"),
        ("send_mail 2.10 s, given up", "red"),
        ("a.very.long.name.of.a.f… 2.00 s, given up", "red"),
    ]
