"""What many answers say together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_lambda_post_runner.dev.latency import BINS, Sent, Sums, as_object, histogram, in_lines, percentiles


def answers(*milliseconds: float) -> list[Sent]:
    return [Sent(200, each / 1000) for each in milliseconds]


def test_percentiles_are_those_of_the_answers() -> None:
    found = percentiles(answers(*range(1, 102)))
    assert found is not None
    assert (found.fastest, found.slowest) == (1, 101)
    assert (found.p50, found.p90, found.p99) == pytest.approx((51, 91, 100))


@pytest.mark.parametrize("many", [1, 2, 3])
def test_few_answers_have_percentiles_within_them(many: int) -> None:
    found = percentiles(answers(*[40.0] * many))
    assert found is not None
    assert (found.p50, found.p90, found.p99) == pytest.approx((40, 40, 40))


def test_none_have_none() -> None:
    assert percentiles([]) is None
    assert list(in_lines(Sums([Sent(None, 1.0, failure="gone")], 1.0), 80)) == []


@given(st.lists(st.floats(0.01, 1e6), min_size=1))
def test_each_answer_lies_in_one_bin_of_the_histogram(milliseconds: list[float]) -> None:
    bins = histogram(answers(*milliseconds))
    assert len(bins) == BINS
    assert sum(each.count for each in bins) == len(milliseconds)
    assert math.isclose(bins[0].begin, min(milliseconds))
    assert bins[-1].end >= max(milliseconds) * 0.999


def test_cold_starts_are_not_in_the_percentiles() -> None:
    sums = Sums([*answers(10, 10, 10), Sent(200, 0.9, start_s=0.8)], 2.0)
    first, second, third = in_lines(sums, 80)
    assert first == "4 answers: fastest 10 ms, p50 10 ms, p90 10 ms, p99 10 ms, slowest 10 ms"
    assert "1 of them waited for the handler to start: 900 ms" in second
    assert "2 answers a second, no errors" in third


def test_where_all_were_cold_they_are_what_counts() -> None:
    lines = list(in_lines(Sums([Sent(200, 0.9, start_s=0.8)], 2.0), 80))
    assert "p50 900 ms" in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_histogram_fits_its_terminal(width: int) -> None:
    lines = list(in_lines(Sums(answers(*range(10, 400)), 2.0), width))
    assert max(map(len, lines[2:])) <= width
    assert len(lines) == 2 + BINS


def test_an_object_has_the_failures_and_each_answer() -> None:
    sums = Sums([*answers(10), Sent(None, 0.5, failure="gone")], 1.0)
    told = as_object(sums)
    assert told["failures"] == {"gone": 1}
    assert [each["status"] for each in told["sent"]] == [200, None]
    assert told["coldMs"] is None
    assert told["warmMs"]["p50"] == 10
