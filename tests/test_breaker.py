"""The circuit breaker's table of cases, without any process: what is let run, what is skipped, and what changes."""

import pytest

from aws_lambda_post_runner.post.breaker import Breaker, Change, Ticket

OPEN = 1000.0
"""When the breaker of a test opens; it pauses for a minute."""


def opened() -> Breaker:
    """A breaker that has just opened, after three failures."""
    breaker = Breaker(3, 60.0)
    for _ in range(3):
        breaker.judge(Ticket.ORDINARY, succeeded=False, now=OPEN)
    return breaker


def judge_all(endings: str) -> list[Change | None]:
    """Judge ordinary commands, `f` for one that failed and `s` for one that succeeded."""
    breaker = Breaker(3, 60.0)
    return [breaker.judge(Ticket.ORDINARY, succeeded=each == "s", now=OPEN) for each in endings]


@pytest.mark.parametrize(
    ("endings", "opens_at"),
    [("fff", 2), ("sfff", 3), ("ffsff", None), ("ffsfff", 5), ("ff", None), ("s", None), ("ffffff", 2)],
)
def test_it_opens_once_after_so_many_failures_in_a_row(endings: str, opens_at: int | None) -> None:
    changes = judge_all(endings)
    assert [nth for nth, change in enumerate(changes) if change] == ([] if opens_at is None else [opens_at])


@pytest.mark.parametrize(
    ("seconds_later", "ticket"),
    [(0.0, None), (59.9, None), (60.0, Ticket.TRIAL), (86_400.0, Ticket.TRIAL)],
)
def test_it_skips_until_the_pause_is_over_however_long_the_environment_was_frozen(
    seconds_later: float, ticket: Ticket | None
) -> None:
    assert opened().admit(OPEN + seconds_later) is ticket


def test_a_closed_one_lets_everything_run() -> None:
    breaker = Breaker(3, 60.0)
    assert [breaker.admit(OPEN) for _ in range(10)] == [Ticket.ORDINARY] * 10


def test_only_one_is_tried_at_a_time() -> None:
    breaker = opened()
    assert breaker.admit(OPEN + 60) is Ticket.TRIAL
    assert breaker.admit(OPEN + 61) is None


def test_after_a_trial_that_succeeded_commands_run_and_must_fail_as_often_again() -> None:
    breaker = opened()
    breaker.admit(OPEN + 60)
    assert breaker.judge(Ticket.TRIAL, succeeded=True, now=OPEN + 61) is Change.CLOSED
    assert breaker.admit(OPEN + 61) is Ticket.ORDINARY
    assert breaker.judge(Ticket.ORDINARY, succeeded=False, now=OPEN + 62) is None


def test_after_a_trial_that_failed_another_pause_begins() -> None:
    breaker = opened()
    breaker.admit(OPEN + 60)
    assert breaker.judge(Ticket.TRIAL, succeeded=False, now=OPEN + 70) is Change.STAYED_OPEN
    assert breaker.admit(OPEN + 129) is None
    assert breaker.admit(OPEN + 130) is Ticket.TRIAL


def test_a_trial_that_could_not_be_judged_leaves_the_next_one_to_be_tried() -> None:
    breaker = opened()
    breaker.admit(OPEN + 60)
    breaker.give_back(Ticket.TRIAL)
    assert breaker.admit(OPEN + 60) is Ticket.TRIAL


@pytest.mark.parametrize("succeeded", [True, False])
def test_what_began_before_it_opened_changes_nothing_after(*, succeeded: bool) -> None:
    breaker = opened()
    assert breaker.judge(Ticket.ORDINARY, succeeded=succeeded, now=OPEN + 30) is None
    assert breaker.admit(OPEN + 59) is None
    assert breaker.admit(OPEN + 60) is Ticket.TRIAL


def test_a_clock_that_was_set_back_makes_the_pause_no_longer() -> None:
    breaker = opened()
    assert breaker.admit(OPEN - 500) is None
    assert breaker.admit(OPEN - 440) is Ticket.TRIAL


def test_it_counts_what_it_skipped_since_it_opened() -> None:
    breaker = opened()
    for _ in range(5):
        breaker.admit(OPEN + 1)
    breaker.admit(OPEN + 60)
    breaker.judge(Ticket.TRIAL, succeeded=False, now=OPEN + 60)
    breaker.admit(OPEN + 61)
    assert breaker.skipped == 6
