"""A span that is sent aside, where nobody waits for it: one at a time, and one that hangs makes room for the next."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aws_lambda_post_runner.invocation import Invocation, Outcome, Settled
from aws_lambda_post_runner.post.account import Account
from aws_lambda_post_runner.post.span import Receiver
from aws_lambda_post_runner.post.spans import Spans
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Level

from .fake_runtime_api import PATIENCE

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
RECEIVER = Receiver(("127.0.0.1", 4318), "127.0.0.1:4318", "/v1/traces", (), 60.0, ())
AT_ONCE = replace(RECEIVER, timeout=0.0)
"""One whose time is over as soon as it has begun."""


def account(trace_id: str = TRACE, *, budget_left: float | None = None) -> Account:
    settled = Settled(Invocation("some-id", trace_id=trace_id, function_arn="arn"), Outcome.RESPONSE, "")
    return Account(settled, settled_at=1.0, ended_at=2.0, budget_left=budget_left)


class Exporter:
    """Sends nothing, and answers as it is told to; `hangs` for one that never answers."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.began = 0
        self.given_up = 0
        self.seconds: list[float] = []

    async def __call__(self, _receiver: Receiver, _encoded: bytes, seconds: float) -> str:
        self.began += 1
        self.seconds.append(seconds)
        answer = self._answers.pop(0)
        if answer == "hangs":
            try:
                await trio.sleep_forever()
            finally:
                self.given_up += 1
        return answer


def run(receiver: Receiver, exporter: Exporter, then: Callable[[Spans], Awaitable[None]]) -> None:
    async def trace() -> None:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await then(Spans(nursery, receiver, exporter, Report(Level.DEBUG)))
                nursery.cancel_scope.cancel()

    trio.run(trace)


def test_an_invocation_that_is_not_traced_has_no_span() -> None:
    async def untraced(spans: Spans) -> None:
        await spans.trace(account(TRACE.replace("Sampled=1", "Sampled=0")))
        await spans.trace(account(""))
        await wait_all_tasks_blocked()

    exporter = Exporter([])
    run(RECEIVER, exporter, untraced)
    assert exporter.began == 0


def test_while_one_span_is_not_taken_yet_the_next_is_not_sent(capfd: pytest.CaptureFixture[str]) -> None:
    async def two(spans: Spans) -> None:
        for _ in range(2):
            await spans.trace(account())
            await wait_all_tasks_blocked()

    exporter = Exporter(["hangs"])
    run(RECEIVER, exporter, two)
    assert exporter.began == 1
    assert "a span is not sent" in capfd.readouterr().err


def test_one_that_hangs_is_given_up_for_the_next_when_its_time_is_over_and_complained_of_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def three(spans: Spans) -> None:
        for _ in range(3):
            await spans.trace(account())
            await wait_all_tasks_blocked()

    exporter = Exporter(["hangs"] * 3)
    run(AT_ONCE, exporter, three)
    assert (exporter.began, exporter.given_up) == (3, 3)
    complaints = [line for line in capfd.readouterr().err.splitlines() if "spans are not taken" in line]
    assert len([line for line in complaints if "WARN" in line.upper()]) == 1
    assert len(complaints) == 2


def test_a_receiver_that_takes_spans_is_waited_for_unless_no_time_is_left() -> None:
    async def four(spans: Spans) -> None:
        for left in (None, 5.0, 0.0, 7.0):
            await spans.trace(account(budget_left=left))
            await wait_all_tasks_blocked()

    exporter = Exporter([""] * 4)
    run(RECEIVER, exporter, four)
    assert exporter.seconds == [float("inf"), 5.0, float("inf"), 7.0]
