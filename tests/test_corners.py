"""What happens seldom, and must be right all the same."""

import json

from aws_lambda_post_runner.post.breaker import Breaker, Ticket

from .conftest import Prepare, Start
from .running import PREFIX


def test_a_wait_without_any_budget_ends_when_the_handler_says_so(prepare: Prepare) -> None:
    """No deadline was told, and no timeout was set."""
    stage = prepare(MODE="WaitUntil", COMMAND="")
    handler, helper = stage.runner.connect(), stage.runner.connect()
    request_id = stage.next_invocation(handler, seconds=None)
    opened = helper.exchange("POST", f"/post-runner/v1/invocation/{request_id}/wait")
    handler.answer(request_id)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    token = json.loads(opened.body)["token"]
    assert helper.exchange("DELETE", f"/post-runner/v1/wait/{token}").status == 202
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 0
    stage.runner.await_event("poll-relayed", nth=2)


def test_an_ordinary_command_that_cannot_be_judged_lets_the_next_one_run() -> None:
    breaker = Breaker(1, 60.0)
    breaker.give_back(Ticket.ORDINARY)
    assert breaker.admit(0.0) is Ticket.ORDINARY


def test_a_misspelt_variable_is_told_beside_a_wrong_one(start: Start) -> None:
    runner = start(environment={PREFIX + "COMMAND": ":", PREFIX + "MODE": "never", PREFIX + "TIMEOUTS": "3s"})
    assert runner.wait() == 1
    warning, error = runner.said().splitlines()
    assert PREFIX + "TIMEOUTS" in warning
    assert PREFIX + "MODE" in error
