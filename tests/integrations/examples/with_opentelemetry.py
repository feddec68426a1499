"""Spans that gather in memory."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from post_runner.flush import flush_after

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)


def before(_event: object, _context: object) -> str:
    """Answer, and leave a span behind."""
    with tracer.start_as_current_span("handle"):
        return "answered"


@flush_after(provider.force_flush)
def handler(event: object, context: object) -> str:
    """Have the span sent after the answer."""
    return before(event, context)
