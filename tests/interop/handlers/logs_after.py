"""Logs with Powertools, once before its answer and once after it: when a line has come on standard input."""

import sys
from typing import Any

from aws_lambda_powertools import Logger, Metrics

import post_runner

logger: Any = Logger(service="tests")
metrics: Any = Metrics(namespace="tests", service="tests")


def finish() -> None:
    sys.stdin.readline()
    logger.info("after the answer")
    metrics.add_metric(name="finished", unit="Count", value=1)
    metrics.flush_metrics()


def handle(_event: object, _context: object) -> str:
    logger.info("before the answer")
    post_runner.wait_until(finish)
    return "answered"


handler = logger.inject_lambda_context(handle)
