"""What OpenTelemetry records, kept in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from app.core import spans
from app.integrations.opentelemetry import OpenTelemetry


class Recorded:
    """The spans that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """The one with this name."""
        [found] = [span for span in self.all() if span.name == name]
        return found


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Record what happens within."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with spans.recorded_by(OpenTelemetry(provider)):
        yield Recorded(exporter)
    provider.shutdown()


def trace_of(span: ReadableSpan) -> str:
    """The id of a span's trace."""
    return f"{_known(span).trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    return f"{_known(span).span_id:016x}"


def _known(span: ReadableSpan) -> SpanContext:
    known = span.get_span_context()
    assert known is not None
    return known


def parent_of(span: ReadableSpan) -> str | None:
    """The id of its parent."""
    return f"{span.parent.span_id:016x}" if span.parent is not None else None
