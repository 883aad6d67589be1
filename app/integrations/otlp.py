"""Sends spans to a collector by OTLP over HTTP, with OpenTelemetry's SDK. Needs the extra."""

from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app import __version__

log = structlog.get_logger()

SERVICE = "incident-management-system"
UNNAMED = "unknown_service"  # what the SDK calls a service without a name


class TellingExporter(SpanExporter):
    """Logs once that spans could not be sent, and once that they can be again. The SDK would log each try."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            log.warning("spans_not_sent", cure="check that OpenTelemetry's collector is up and takes OTLP over HTTP")
        elif self._is_failing and not is_failing:
            log.info("spans_sent_again")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def provider_of(endpoint: str) -> TracerProvider:
    """A provider of tracers whose spans go to the collector at this URL. Raises if the SDK refuses a variable."""
    resource = Resource.create({SERVICE_VERSION: __version__})  # with what the operator's variables say
    if str(resource.attributes[SERVICE_NAME]).startswith(UNNAMED):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(TellingExporter(exporter)))
    return provider
