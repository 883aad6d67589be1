"""Spans on their way to a collector: what it gets, and what happens without it."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from app.core import spans, tracing
from app.core.spans import Kind
from app.core.vocabulary import DeliveryStatus
from app.integrations.opentelemetry import recording
from app.integrations.otlp import TellingExporter
from app.models import Notification
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.scenario import Opener, Tick
from tests.support.world import Outbox


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


def test_spans_reach_a_collector(server: HttpServer) -> None:
    with recording(server.url), spans.span("wake somebody", Kind.INTERNAL, parent=None):
        assert spans.are_recorded()
    assert not spans.are_recorded()
    [request] = server.requests
    assert (request.path, request.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    assert b"wake somebody" in request.body
    assert b"incident-management-system" in request.body


@pytest.mark.slow
def test_a_collector_that_hangs_does_not_hold_up_the_end(server: HttpServer) -> None:
    server.default = Answer(fault="hang")
    began = time.monotonic()
    with recording(server.url), spans.span("wake somebody", Kind.INTERNAL, parent=None):
        pass
    assert time.monotonic() - began < 9  # the exporter alone waits for ten seconds


def test_without_the_extra_nothing_is_recorded_and_the_log_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "app.integrations.otlp", raising=False)
    with capture_logs() as lines, recording("http://127.0.0.1:1"):
        assert not spans.are_recorded()
    [line] = lines
    assert (line["event"], line["log_level"]) == ("opentelemetry_not_installed", "error")


@pytest.mark.parametrize(
    ("variable", "value", "events"),
    [
        ("OTEL_SDK_DISABLED", "True", []),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100", ["opentelemetry_not_set_up"]),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", ["opentelemetry_not_set_up"]),
    ],
)
def test_variables_of_the_sdk_never_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, events: list[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with capture_logs() as lines, recording("http://127.0.0.1:1"):
        assert not spans.are_recorded()
    assert [line["event"] for line in lines] == events


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_SERVICE_NAME", "pager-eu"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=pager-eu,cloud.region=eu")],
)
def test_the_operator_names_the_service(
    monkeypatch: pytest.MonkeyPatch, server: HttpServer, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with recording(server.url), spans.span("wake somebody", Kind.INTERNAL, parent=None):
        pass
    assert b"pager-eu" in server.requests[0].body
    assert b"incident-management-system" not in server.requests[0].body


def test_nothing_is_recorded_unless_a_collector_is_set() -> None:
    with recording(""):
        assert not spans.are_recorded()


def test_a_collector_that_refuses_is_reported_once(server: HttpServer) -> None:
    server.script(Answer(401, body="secret"), Answer(401), Answer(200))
    exporter = TellingExporter(OTLPSpanExporter(endpoint=f"{server.url}/secret/path"))
    with capture_logs() as lines:
        results = [exporter.export([]) for _ in range(3)]
    assert results == [SpanExportResult.FAILURE, SpanExportResult.FAILURE, SpanExportResult.SUCCESS]
    assert [line["event"] for line in lines] == ["spans_not_sent", "spans_sent_again"]
    exporter.shutdown()


class Broken:
    """A recorder that fails, as no recorder should."""

    traceparent = tracing.new()

    def __init__(self, *, begins: bool) -> None:
        self.begins = begins

    def begin(self, *_: Any, **__: Any) -> Any:
        if not self.begins:
            raise RuntimeError("broken")
        return self

    def done(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    name = tell = fail = end = done


@pytest.mark.parametrize("begins", [True, False])
def test_a_recorder_that_fails_costs_no_page(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session, *, begins: bool
) -> None:
    add_policy()
    open_incident()
    with spans.recorded_by(Broken(begins=begins)), capture_logs() as lines:
        tick()
    assert len(outbox.sent) == 1
    assert session.scalars(select(Notification.status)).all() == [DeliveryStatus.ACCEPTED]
    assert "span_not_recorded" in {line["event"] for line in lines}
