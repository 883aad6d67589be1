"""The spans that OpenTelemetry gets: of requests, statements, jobs, messages and calls, each in the right trace."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.api.waiting import Waiting, running
from app.core import spans, tracing
from app.core.spans import Kind
from app.db import budget
from app.db.session import Database
from app.integrations import connections
from app.integrations.http import Limits, post
from tests.support.api import Api
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.recorded import Recorded, id_of, parent_of, recorded, trace_of
from tests.support.scenario import Opener, Tick
from tests.support.world import LATER, Outbox, Person

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
ORDINARY = {"Idempotency-Key": "never-gathered"}
OPENING = "POST /v1/incidents"


@pytest.fixture
def record() -> Iterator[Recorded]:
    with recorded() as record:
        yield record


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


def about(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_a_request_is_a_span_of_its_callers_trace(
    client: TestClient, admin: Person, record: Recorded, way: dict[str, str]
) -> None:
    answer = admin.on(client).send("GET /users/me?", headers={**CALLER, **way})
    span = record.named("GET /v1/users/me")
    assert (span.kind, trace_of(span), parent_of(span)) == (SpanKind.SERVER, TRACE, SPAN)
    assert about(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/users/me",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/users/me",
        "client.address": "testclient",
        "user.id": str(admin.id),
        "ims.request_id": answer.headers["x-request-id"],
    }
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_the_statements_of_a_request_are_its_children(
    client: TestClient, admin: Person, record: Recorded, way: dict[str, str]
) -> None:
    Api(client, {**CALLER, **admin.headers, **way}).open()
    request = id_of(record.named(OPENING))
    [statement] = [span for span in record.all() if "INSERT INTO incidents" in str(about(span).get("db.query.text"))]
    assert (parent_of(statement), trace_of(statement)) == (request, TRACE)
    assert about(statement)["db.system.name"] == "postgresql"
    assert "/*" not in about(statement)["db.query.text"]
    assert statement.end_time > statement.start_time  # type: ignore[operator]  # both are set


def test_a_limited_statement_is_named_by_what_it_does(database: Database, record: Recorded) -> None:
    with tracing.following(CALLER["traceparent"]), database.session() as session, budget.limited():
        session.connection().exec_driver_sql("SELECT 1")
    assert about(record.named("SELECT"))["db.query.text"] == "SELECT 1"


def test_the_span_of_a_statement_that_fails_says_why(database: Database, record: Recorded) -> None:
    with tracing.following(CALLER["traceparent"]), database.session() as session, pytest.raises(ProgrammingError):
        session.execute(text("SELECT nobody_knows_this"))
    assert about(record.named("SELECT"))["error.type"] == "UndefinedColumn"


def test_what_belongs_to_no_trace_is_not_recorded(database: Database, record: Recorded) -> None:
    with database.session() as session:
        session.connection().exec_driver_sql("SELECT 1")
    assert record.all() == ()


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("GET /p/abcdef-secret", "secret"),
        ("GET /reset-password/abcdef-secret", "secret"),
        ("POST /v1/auth/password-recovery/bob@example.com", "bob"),
        ("GET /v1/incidents?q=secret", "secret"),
    ],
)
def test_a_span_has_no_secrets(client: TestClient, record: Recorded, line: str, secret: str) -> None:
    method, path = line.split()
    client.request(method, path)
    said = [span.to_json() for span in record.all() if span.kind is SpanKind.SERVER]
    assert len(said) == 1
    assert secret not in said[0]


def test_a_request_that_is_not_sampled_is_not_recorded(client: TestClient, record: Recorded) -> None:
    client.get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    assert record.all() == ()


def test_what_breaks_is_an_error(record: Recorded) -> None:
    with pytest.raises(ZeroDivisionError), spans.span("divide", Kind.INTERNAL, parent=None):
        raise ZeroDivisionError
    span = record.named("divide")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ZeroDivisionError")


def test_a_page_is_a_span_of_the_alerts_trace(
    client: TestClient, add_policy: Opener, tick: Tick, record: Recorded
) -> None:
    add_policy()
    Api(client, CALLER).alert(alert_id="a")
    tick()
    span = record.named("send email")
    assert (span.kind, trace_of(span)) == (SpanKind.CONSUMER, TRACE)
    assert parent_of(span) == id_of(record.named("POST /v1/alerts/elastic"))
    assert {name: about(span)[f"ims.{name}"] for name in ("channel", "attempt", "outcome")} == {
        "channel": "email", "attempt": 1, "outcome": "accepted"
    }  # fmt: skip
    assert record.named("plan steps_taken").kind is SpanKind.INTERNAL


def test_a_page_that_is_refused_is_an_error(
    client: TestClient, add_policy: Opener, tick: Tick, record: Recorded, outbox: Outbox
) -> None:
    outbox.answers = [LATER]
    add_policy()
    Api(client, CALLER).alert(alert_id="a")
    tick()
    assert record.named("send email").status.status_code is StatusCode.ERROR


def test_a_call_is_a_span_that_the_other_side_continues(server: HttpServer, record: Recorded) -> None:
    server.script(Answer(503, body="secret answer"))
    with spans.span("send webhook", Kind.CONSUMER, parent=CALLER["traceparent"]):
        post(f"{server.url}/secret/path?token=secret", json={}, limits=Limits(allows_private=True))
    call = record.named("POST")
    assert (call.kind, trace_of(call), parent_of(call)) == (
        SpanKind.CLIENT, TRACE, id_of(record.named("send webhook"))
    )  # fmt: skip
    assert server.requests[0].headers["traceparent"] == f"00-{TRACE}-{id_of(call)}-01"
    assert about(call)["http.response.status_code"] == 503
    assert call.status.status_code is StatusCode.ERROR
    assert "secret" not in call.to_json()


def test_a_batch_links_to_the_requests_that_share_it(record: Recorded) -> None:
    loop = asyncio.new_event_loop()
    others = [f"00-{number:032x}-{SPAN}-01" for number in (1, 2)]
    batch = [Waiting("item", None, loop.create_future(), loop, "id", other) for other in others]
    with running("open_incident", batch):
        pass
    loop.close()
    span = record.named("gathered open_incident")
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [other[3:35] for other in others]


def test_a_worker_that_finds_nothing_to_do_records_nothing(open_incident: Opener, tick: Tick, record: Recorded) -> None:
    open_incident()
    tick()
    before = len([span for span in record.all() if span.name.startswith("plan ")])
    tick()
    assert len([span for span in record.all() if span.name.startswith("plan ")]) == before
