"""What is lost, what is tried again and when, and what is kept for the fallback: the table of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_lambda_post_runner.invocation import Budget, Ending
from aws_lambda_post_runner.post.retry import Loss, can_be_retried, delay_before, loss_of, without_reserve

NOW = 1000.0


@pytest.mark.parametrize(
    ("ending", "loss", "again"),
    [
        (Ending(exit_status=0), None, False),
        (Ending(exit_status=0, not_captured=("event",)), None, False),
        (Ending(exit_status=1), Loss.FAILED, True),
        (Ending(signal=9), Loss.FAILED, True),
        (Ending(problem="no such shell"), Loss.FAILED, False),
        (Ending(signal=15, cut_off_by="timeout"), Loss.CUT_OFF, False),
        (Ending(exit_status=0, cut_off_by="deadline"), Loss.CUT_OFF, False),
        (Ending(signal=15, cut_off_by="shutdown"), Loss.CUT_OFF, False),
        (Ending(problem="no time was left", cut_off_by="deadline"), Loss.CUT_OFF, False),
    ],
)
def test_how_a_command_ended_tells_what_is_lost_and_what_is_tried_again(
    ending: Ending, loss: Loss | None, *, again: bool
) -> None:
    assert loss_of(ending) is loss
    assert can_be_retried(ending) is again


def test_the_delay_doubles_and_has_an_end() -> None:
    delays = [delay_before(retry, 1.0) for retry in range(1, 10)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert delay_before(10_000, 1.0) == 5.0


@given(retry=st.integers(1, 100), spread=st.floats(0, 1))
def test_the_delay_is_spread_over_its_second_half(retry: int, spread: float) -> None:
    assert delay_before(retry, 1.0) / 2 <= delay_before(retry, spread) <= delay_before(retry, 1.0)


@pytest.mark.parametrize(
    ("left", "reserve", "commands"),
    [(10.0, 1.0, 9.0), (10.0, 0.0, 10.0), (1.0, 1.0, 0.5), (0.5, 60.0, 0.25), (0.0, 1.0, 0.0)],
)
def test_the_fallback_has_its_reserve_and_never_more_than_half(
    left: float, reserve: float, commands: float
) -> None:
    kept = without_reserve(Budget(NOW + left, "deadline"), reserve, NOW)
    assert kept.bound_by == "deadline"
    assert kept.remaining(NOW) == pytest.approx(commands)


def test_without_a_bound_there_is_nothing_to_reserve_from() -> None:
    assert without_reserve(Budget(None, ""), 1.0, NOW) == Budget(None, "")
