"""What gathers in memory is sent after the answer, and before the freeze."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from aws_lambda_post_runner.settings import PREFIX
from tests.running import wait_until

from .collector import Collector
from .conftest import Stage, await_freeze, places


@dataclass(frozen=True)
class Exporter:
    """An example, how it is told where to send, and what it sends last."""

    example: str
    address: str
    """The variables that name the collector, with `{}` where it is."""
    sends: str

    def environ(self, collector: Collector) -> dict[str, str]:
        """Return the variables."""
        pairs = (pair.split("=", 1) for pair in self.address.format(collector.address).split())
        return dict(pairs)


EXPORTERS = [
    Exporter("with_opentelemetry", "OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", "handle"),
    Exporter("with_sentry", "SENTRY_DSN=http://key@{}/1", "second report"),
    Exporter("with_posthog", "POSTHOG_HOST=http://{}", "signed up"),
    Exporter(
        "with_langfuse",
        "LANGFUSE_HOST=http://{} LANGFUSE_PUBLIC_KEY=pk-lf-1 LANGFUSE_SECRET_KEY=sk-lf-1",
        "before",
    ),
]

exporters = pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda each: each.example)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that does not answer yet."""
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.answering.set()
        server.shutdown()


@exporters
def test_it_is_flushed_after_the_answer_and_before_the_freeze(
    stage: Stage, collector: Collector, exporter: Exporter
) -> None:
    function = stage.run_python(f"{exporter.example}.handler", environ=exporter.environ(collector))
    for _ in range(2):
        assert function.invoke({}).json() == "answered"  # the collector has not answered: nobody waits for it
        collector.answering.set()
        await_freeze(function)
        assert collector.has(exporter.sends)
        collector.answering.clear()
        collector.bodies.clear()


@exporters
def test_without_the_flush_it_stands_still(stage: Stage, collector: Collector, exporter: Exporter) -> None:
    environ = exporter.environ(collector)
    function = stage.run_python(f"{exporter.example}.before", environ=environ, runner=False)
    assert function.invoke({}).json() == "answered"
    await_freeze(function)
    collector.answering.set()
    assert not collector.has(exporter.sends)


@pytest.mark.parametrize(
    "exporter",
    # PostHog gathers for five seconds, and only code can tell it to gather for less.
    [each for each in EXPORTERS if each.example != "with_posthog"],
    ids=lambda each: each.example,
)
def test_without_any_code_it_is_sent_in_the_settling_time(
    stage: Stage, collector: Collector, exporter: Exporter
) -> None:
    """The exporters that gather for seconds have to be told to gather for less."""
    environ = {
        **exporter.environ(collector),
        f"{PREFIX}SETTLE": "10s",
        "OTEL_BSP_SCHEDULE_DELAY": "20",  # milliseconds
        "LANGFUSE_FLUSH_INTERVAL": "0.02",
    }
    function = stage.run_python(f"{exporter.example}.before", environ=environ)
    assert function.invoke({}).json() == "answered"
    wait_until(lambda: collector.bodies, "the first request")
    before = len(function.moments)
    assert list(places(function, lambda _, moment: moment.what == "frozen")) == []
    collector.answering.set()
    assert await_freeze(function) >= before
    assert collector.has(exporter.sends)
