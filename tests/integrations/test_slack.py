"""Lazy listeners of Bolt run after the answer, in the environment that has answered."""

from typing import Any

from .conftest import Stage, await_freeze, await_line, http_event


def slash_command(name: str) -> dict[str, Any]:
    """What a function URL hands on when somebody types /name in Slack."""
    form = f"command=/{name}&text=hello&user_id=U1&team_id=T1&channel_id=C1&response_url=http://127.0.0.1:1/"
    event = http_event("POST", "/slack/events")
    event["headers"]["content-type"] = "application/x-www-form-urlencoded"
    return {**event, "body": form}


def test_a_lazy_listener_begins_with_the_answer_and_ends_before_the_freeze(stage: Stage) -> None:
    function = stage.run_python("with_slack.handler")
    for _ in range(2):
        before = len(function.moments)
        assert function.invoke(slash_command("welcome")).json()["body"] == "heard"  # the gate is still closed
        stage.open_gate()
        assert await_line(function, "welcome done", before) < await_freeze(function)
        stage.close_gate()


def test_without_the_runner_a_lazy_listener_stands_still(stage: Stage) -> None:
    function = stage.run_python("with_slack.handler", runner=False)
    assert function.invoke(slash_command("welcome")).json()["body"] == "heard"
    await_freeze(function)
    stage.open_gate()
    assert not [line for line in function.output if "welcome done" in line]


def test_a_lazy_listener_that_fails_is_logged_before_the_freeze_and_harms_nobody(stage: Stage) -> None:
    function = stage.run_python("with_slack.handler")
    for _ in range(2):
        before = len(function.moments)
        assert function.invoke(slash_command("fail")).json()["body"] == "heard"
        assert await_line(function, "dividend / divisor", before) < await_freeze(function)
