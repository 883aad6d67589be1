"""Records spans with OpenTelemetry's SDK, and sends them to a collector by OTLP over HTTP. An optional extra.

`OTEL_EXPORTER_OTLP_ENDPOINT` turns it on. The SDK reads its other variables itself, such as `OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from time import time_ns
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app import __version__
from app.core import spans
from app.core.spans import Attributes, Kind

log = structlog.get_logger()

NANOSECONDS = 1e9
ERROR_TYPE = "error.type"  # the conventions' attribute of what failed
KINDS = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.CONSUMER: SpanKind.CONSUMER,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
LAST_SPANS_SECONDS = 3.0  # a collector that hangs must not hold up the end of the process


class RecordedSpan:
    """A span of OpenTelemetry's. See `app.core.spans.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        known = span.get_span_context()
        self.traceparent = f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags:02x}"

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def fail(self, error: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, error))

    def end(self) -> None:
        self._span.end()


class OpenTelemetry:
    """Records spans by a tracer. See `app.core.spans.Recorder`."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._tracer = provider.get_tracer("incidents", __version__)

    def begin(self, name: str, kind: Kind, *, parent: str | None, links: Sequence[str] = ()) -> RecordedSpan:
        causes = [Link(_span_context(one)) for one in links]
        return RecordedSpan(self._tracer.start_span(name, _within(parent), KINDS[kind], links=causes))

    def done(self, name: str, kind: Kind, attributes: Attributes, *, parent: str, seconds: float) -> None:
        began_at = time_ns() - round(seconds * NANOSECONDS)
        span = self._tracer.start_span(name, _within(parent), KINDS[kind], attributes, start_time=began_at)
        if ERROR_TYPE in attributes:
            span.set_status(Status(StatusCode.ERROR, attributes[ERROR_TYPE]))
        span.end()


def _within(parent: str | None) -> Context:
    """The context of a span with this parent. It has nothing else: the SDK's own current span plays no part."""
    span = trace.INVALID_SPAN if parent is None else NonRecordingSpan(_span_context(parent))
    return trace.set_span_in_context(span, Context())


def _span_context(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


@contextmanager
def recording(endpoint: str) -> Iterator[None]:
    """Record the spans of this process while the block runs, and send them to the collector at this URL.

    Without the extra it only says how to get it: pages do not wait for that.
    """
    provider = _provider(endpoint) if endpoint else None
    if provider is None:
        yield
        return
    try:
        with spans.recorded_by(OpenTelemetry(provider)):
            yield
    finally:
        ending = Thread(target=provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        ending.join(LAST_SPANS_SECONDS)


def _provider(endpoint: str) -> Any:
    """The SDK's provider of tracers. None if the extra is not installed, or the SDK is off or refuses its variables."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        from app.integrations.otlp import provider_of

        provider = provider_of(endpoint)
    except ImportError as error:
        cure = "pip install --require-hashes --requirement requirements-opentelemetry.txt"
        log.error("opentelemetry_not_installed", cure=cure, missing=error.name)  # noqa: TRY400 - the name says enough
        return None
    except Exception as error:
        log.exception("opentelemetry_not_set_up", cure="correct the OTEL_ variables", reason=str(error))
        return None
    log.info("spans_recorded")
    return provider
