"""Sends a span of each invocation's post work, and lets nobody wait for a receiver that has not earned it.

A poll is held for a span only while the receiver takes them: only then is it likely to be taken before the freeze, in
the time of a round trip. Before the first one was taken, and after one was not, spans are sent aside: nothing is held,
and no deadline is armed, for the environment may be frozen meanwhile. So a dead receiver costs one timeout when it
dies, after the answer, and nothing when it was dead from the start.
"""

import math
import time
from collections.abc import Awaitable, Callable

import trio

from aws_lambda_post_runner.report import Report

from .account import Account
from .span import Parent, PostSpan, Receiver, document, parent_of

Export = Callable[[Receiver, bytes, float], Awaitable[str]]
"""Sends a document within so many seconds; returns what went wrong, in words, or an empty text. Never raises."""


class Spans:
    """All spans of this execution environment. Those that are sent aside live in `nursery`, the supervisor's."""

    def __init__(self, nursery: trio.Nursery, receiver: Receiver, export: Export, report: Report) -> None:
        self._nursery = nursery
        self._receiver = receiver
        self._export = export
        self._report = report
        self._is_trusted = False
        self._has_complained = False
        self._aside: trio.CancelScope | None = None
        self._aside_since = 0.0

    async def trace(self, account: Account) -> None:
        """Send a span of this post work, if its invocation is traced. Polls are held until this returns."""
        parent = parent_of(account.settled.invocation.trace_id)
        if parent is None:
            return
        encoded = document(span_of(account, parent), self._receiver)
        left = math.inf if account.budget_left is None else account.budget_left
        seconds = min(self._receiver.timeout, left)
        if self._is_trusted and seconds > 0:
            self._heed(await self._export(self._receiver, encoded, seconds))
        else:
            self._begin_aside(encoded)

    def _begin_aside(self, encoded: bytes) -> None:
        """One at a time: what hangs may do so for ever, and is given up for the next one when its time is over."""
        if self._aside is not None:
            if time.time() - self._aside_since < self._receiver.timeout:
                self._report.debug("a span is not sent: the one before it has not been taken yet")
                return
            self._aside.cancel()
            self._heed(f"it did not answer within {self._receiver.timeout * 1000:.0f} ms")
        self._aside, self._aside_since = trio.CancelScope(), time.time()
        self._nursery.start_soon(self._send_aside, encoded, self._aside)

    async def _send_aside(self, encoded: bytes, scope: trio.CancelScope) -> None:
        with scope:
            self._heed(await self._export(self._receiver, encoded, math.inf))
        if self._aside is scope:
            self._aside = None

    def _heed(self, problem: str) -> None:
        """Trust the receiver if there was no problem. Complain of the first one, not of each."""
        self._is_trusted = not problem
        self._report.observe("span-sent", problem=problem or None)
        if problem:
            say = self._report.debug if self._has_complained else self._report.warn
            say(f"spans are not taken by the receiver at {self._receiver.host}: {problem}")
        self._has_complained = bool(problem)


def span_of(account: Account, parent: Parent) -> PostSpan:
    """What an account says, as a span; names as OpenTelemetry's conventions have them, where they have any."""
    invocation = account.settled.invocation
    attributes: dict[str, str | int | bool] = {
        "faas.invocation_id": invocation.request_id,
        "faas.coldstart": invocation.cold_start,
        "post_runner.outcome": account.settled.outcome.value,
    }
    if invocation.function_arn:
        attributes["aws.lambda.invoked_arn"] = invocation.function_arn
    return PostSpan(
        parent,
        account.settled_at,
        account.ended_at,
        "; ".join([*_problems_of_command(account), *_problems_of_waits(account)]),
        {**attributes, **_about_command(account), **_about_waits(account)},
    )


def _problems_of_command(account: Account) -> list[str]:
    course = account.course
    return [] if course is None or course.loss is None else [f"the post command: {course.loss.value}"]


def _problems_of_waits(account: Account) -> list[str]:
    expired = 0 if account.waits is None else len(account.waits.expired)
    return [f"{expired} of the handler's waits did not end"] if expired else []


def _about_command(account: Account) -> dict[str, str | int | bool]:
    if account.course is None:
        return {}
    course, ending = account.course, account.course.ending
    known = {
        "post_runner.exit_status": ending.exit_status,
        "post_runner.signal": ending.signal,
        "post_runner.cut_off_by": ending.cut_off_by or None,
        "post_runner.problem": ending.problem or None,
        "post_runner.loss": None if course.loss is None else course.loss.value,
        "post_runner.retries": course.retries,
        "post_runner.spilled": course.spilled,
    }
    return {name: value for name, value in known.items() if value is not None}


def _about_waits(account: Account) -> dict[str, str | int | bool]:
    if account.waits is None:
        return {}
    return {"post_runner.waits": account.waits.begun, "post_runner.expired_waits": len(account.waits.expired)}
