"""The lines in the embedded metric format: valid by its specification, and what is in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_lambda_post_runner.post.metrics import Figures, Source, invocation_line, qualifier_of, start_line

from .embedded_metrics import dimension_sets, metrics, problems

SOURCE = Source(namespace="PostRunner", function_name="orders", level="INFO")
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
FIGURES = Figures(answer_ms=12.3456, post_ms=40.0, held_ms=30.0, wait_ms=5.0, budget_left_ms=900.0)
NOW = 1_795_523_469.123


def line_of(figures: Figures = FIGURES, arn: str = ARN) -> str:
    return invocation_line(SOURCE, figures, request_id="an-id", function_arn=arn, now=NOW).decode()


milliseconds = st.floats(0, 1e9)


@given(
    st.builds(
        Figures,
        answer_ms=st.none() | milliseconds,
        post_ms=milliseconds,
        held_ms=milliseconds,
        wait_ms=milliseconds,
        budget_left_ms=st.none() | milliseconds,
        failed=st.booleans(),
        retried=st.integers(0, 100),
    ),
    st.sampled_from([ARN, f"{ARN}:live", f"{ARN}:7", f"{ARN}:$LATEST", "", "not-an-arn"]),
)
def test_every_line_is_valid(figures: Figures, arn: str) -> None:
    assert problems(line_of(figures, arn)) == []


def test_times_are_milliseconds_and_all_else_is_counted() -> None:
    figures = Figures(
        answer_ms=12.3456,
        post_ms=40.0,
        held_ms=30.0,
        wait_ms=5.0,
        budget_left_ms=900.0,
        failed=True,
        cut_off=True,
        skipped=True,
        retried=2,
        spilled=True,
        waits_expired=3,
    )
    assert metrics(line_of(figures)) == {
        "AnswerMs": (12.346, "Milliseconds"),
        "PostMs": (40.0, "Milliseconds"),
        "HeldMs": (30.0, "Milliseconds"),
        "WaitMs": (5.0, "Milliseconds"),
        "BudgetLeftMs": (900.0, "Milliseconds"),
        "Failed": (1, "Count"),
        "CutOff": (1, "Count"),
        "Skipped": (1, "Count"),
        "Retried": (2, "Count"),
        "Spilled": (1, "Count"),
        "WaitsExpired": (3, "Count"),
    }


def test_what_is_not_known_is_not_a_metric() -> None:
    figures = Figures(answer_ms=None, post_ms=0.0, held_ms=0.0, wait_ms=0.0, budget_left_ms=None)
    assert not {"AnswerMs", "BudgetLeftMs"} & set(metrics(line_of(figures)))


def test_the_request_id_is_there_to_search_for_and_is_no_dimension() -> None:
    assert json.loads(line_of())["requestId"] == "an-id"
    assert dimension_sets(line_of()) == [{"FunctionName": "orders"}]


def test_an_alias_has_metrics_of_its_own_beside_the_functions() -> None:
    assert dimension_sets(line_of(arn=f"{ARN}:live")) == [
        {"FunctionName": "orders"},
        {"FunctionName": "orders", "Alias": "live"},
    ]


@pytest.mark.parametrize(
    ("arn", "qualifier"),
    [(ARN, ""), (f"{ARN}:live", "live"), (f"{ARN}:7", "7"), (f"{ARN}:$LATEST", "$LATEST"), ("", "")],
)
def test_the_qualifier_is_what_stands_behind_the_functions_name(arn: str, qualifier: str) -> None:
    assert qualifier_of(arn) == qualifier


def test_the_start_has_one_line_of_its_own() -> None:
    line = start_line(SOURCE, 5.25, NOW).decode()
    assert problems(line) == []
    assert metrics(line) == {"StartMs": (5.25, "Milliseconds")}
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("[INFO] {}", "JSON"),
        ('{"level": "INFO"}', "_aws"),
        ('{"_aws": {"Timestamp": "now", "CloudWatchMetrics": [{}]}}', "Timestamp"),
        ('{"_aws": {"Timestamp": 1795523469123, "CloudWatchMetrics": [{}]}}', "Namespace is missing"),
    ],
)
def test_the_rules_themselves_find_what_is_broken(broken: str, why: str) -> None:
    assert why in " ".join(problems(broken))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("FunctionName", "", "dimension"), ("FunctionName", 1, "dimension"), ("PostMs", "40", "number")],
)
def test_the_rules_themselves_find_what_is_wrong_in_a_line(name: str, value: object, why: str) -> None:
    assert why in " ".join(problems(json.dumps(json.loads(line_of()) | {name: value})))
