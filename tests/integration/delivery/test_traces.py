"""The trace of the request that brought an alert goes on in the pages about it, and in what they call."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from app.core import tracing
from app.db.session import Database, connect
from app.integrations import connections
from app.integrations.http import Limits, post
from app.models import Incident, Notification
from tests.support.api import Api
from tests.support.http_server import HttpServer, http_server
from tests.support.scenario import Opener, Tick, act, notify
from tests.support.world import Clock, Outbox, Person

ALERT, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"
BY_ALERT, BY_OTHER = f"00-{ALERT}-{SPAN}-01", f"00-{OTHER}-{SPAN}-01"
ORDINARY = {"Idempotency-Key": "never-gathered"}


def traced(client: TestClient, traceparent: str = BY_ALERT, **headers: str) -> Api:
    """The API as somebody uses it who has no token, in a trace."""
    return Api(client, {"traceparent": traceparent, **headers})


def of_messages(session: Session) -> list[str | None]:
    session.expire_all()
    return [tracing.id_of(one) for one in session.scalars(select(Notification.traceparent).order_by(Notification.id))]


@pytest.fixture
def seen(outbox: Outbox) -> list[str | None]:
    """The trace in which each message was sent."""
    found: list[str | None] = []
    outbox.on_send = lambda: found.append(tracing.current())
    return found


@pytest.mark.parametrize(
    "alerts", [{"alert_id": "a", "title": "t"}, {"alerts": [{"alert_id": "a"}, {"alert_id": "b"}]}], ids=["one", "many"]
)
def test_an_alerts_trace_goes_on_in_its_pages(
    client: TestClient, session: Session, add_policy: Opener, tick: Tick, seen: list[str | None], alerts: dict[str, Any]
) -> None:
    add_policy()
    traced(client).alert(**alerts)
    tick()
    assert set(session.scalars(select(Incident.traceparent))) == {BY_ALERT}
    assert set(seen) == {BY_ALERT}
    assert set(of_messages(session)) == {ALERT}


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_an_incident_opened_by_hand_keeps_its_trace(
    client: TestClient, session: Session, admin: Person, way: dict[str, str]
) -> None:
    traced(client, **admin.headers, **way).open()
    assert session.scalars(select(Incident.traceparent)).all() == [BY_ALERT]


def test_a_fallback_and_a_later_step_belong_to_the_same_trace(
    client: TestClient, session: Session, add_policy: Opener, tick: Tick, clock: Clock, admin: Person
) -> None:
    add_policy(steps=[{"delay_minutes": delay, "actions": [notify()]} for delay in (0, 5)])
    traced(client, **admin.headers).open()
    tick()
    clock.advance(minutes=6)
    tick()
    assert of_messages(session) == [ALERT, ALERT]


def test_an_escalation_by_hand_belongs_to_the_request_that_asks_for_it(
    client: TestClient, session: Session, add_policy: Opener, admin: Person
) -> None:
    add_policy(steps=[{"delay_minutes": 5, "actions": [notify()]}])
    id_ = traced(client, **admin.headers).open()["id"]
    traced(client, BY_OTHER, **admin.headers).call(f"POST /incidents/{id_}/escalate")
    assert of_messages(session) == [OTHER]


def test_a_policys_webhook_belongs_to_the_alerts_trace(
    client: TestClient, session: Session, add_policy: Opener, tick: Tick
) -> None:
    call = {"type": "webhook", "url": "https://hooks.example.com/x"}
    add_policy(steps=[{"delay_minutes": 0, "actions": [call]}])
    traced(client).alert(alert_id="a")
    tick()
    assert ALERT in of_messages(session)


def test_a_status_update_belongs_to_the_incidents_trace(
    client: TestClient, session: Session, add_policy: Opener, tick: Tick, clock: Clock, admin: Person, user: Person
) -> None:
    add_policy()
    incident = traced(client, **admin.headers).open()
    tick()
    act(client, incident, "resolve", user)
    clock.advance(minutes=2)
    tick()
    assert of_messages(session) == [ALERT, ALERT]


def test_a_message_about_an_account_belongs_to_its_request(client: TestClient, session: Session, admin: Person) -> None:
    body = {"email": "new@example.com", "current_password": "correct horse battery"}
    traced(client, **admin.headers).call("PUT /users/me", body)
    assert set(of_messages(session)) == {ALERT}


def test_a_message_without_a_trace_begins_one(
    client: TestClient, session: Session, add_policy: Opener, open_incident: Opener, tick: Tick, seen: list[str | None]
) -> None:
    """Messages of the previous release have none."""
    add_policy()
    open_incident()
    session.execute(text("UPDATE incidents SET traceparent = NULL"))
    session.commit()
    tick()
    [traceparent] = seen
    assert traceparent is not None
    assert of_messages(session) == [None]


def test_lines_about_steps_and_messages_name_the_trace(client: TestClient, add_policy: Opener, tick: Tick) -> None:
    add_policy()
    with capture_logs() as lines:
        traced(client).alert(alert_id="a")
        tick()
    named = {line["event"] for line in lines if line.get("trace_id") == ALERT}
    assert {"escalation_step_fired", "delivery_attempted"} <= named


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


def test_a_call_carries_the_trace(server: HttpServer) -> None:
    here = Limits(allows_private=True)
    with tracing.following(BY_ALERT):
        post(server.url, json={}, limits=here)
    post(server.url, json={}, limits=here)
    carried = [request.headers["traceparent"] for request in server.requests]
    assert carried[0] == BY_ALERT
    assert tracing.read(carried[1:]) == carried[1]  # one of its own


QUERY = text("SELECT current_query()")


def test_a_statement_names_its_trace(database: Database) -> None:
    with tracing.following(BY_ALERT), database.session() as session:
        assert session.scalar(QUERY) == f"{QUERY.text} /*traceparent='{BY_ALERT}'*/"
    with database.session() as session:
        assert session.scalar(QUERY) == QUERY.text


def test_traces_can_be_left_out_of_statements(migrated_url: str) -> None:
    plain = connect(migrated_url, pool_size=1, has_trace_comments=False)
    with tracing.following(BY_ALERT), plain.reading() as session:
        assert session.scalar(QUERY) == QUERY.text
    plain.dispose()


@contextmanager
def sent(database: Database) -> Iterator[list[str]]:
    """The statements within, as they reach the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.bind, "after_cursor_execute", note)
    yield seen
    event.remove(database.bind, "after_cursor_execute", note)


@pytest.mark.parametrize("path", ["/incidents", "/incidents/{id}", "/users/me"])
def test_the_statements_of_a_gathered_read_name_its_trace(
    client: TestClient, admin: Person, database: Database, open_incident: Opener, path: str
) -> None:
    id_ = open_incident()["id"]
    with sent(database) as seen:
        traced(client, **admin.headers).call(f"GET {path.format(id=id_)}")
    assert seen
    assert all(ALERT in statement for statement in seen if statement.startswith("SELECT"))


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_the_statements_of_a_request_name_its_trace(
    client: TestClient, admin: Person, database: Database, way: dict[str, str]
) -> None:
    with sent(database) as seen:
        traced(client, **admin.headers, **way).open()
    [inserting] = [statement for statement in seen if "INSERT INTO incidents" in statement]
    assert inserting.endswith(f"/*traceparent='{BY_ALERT}'*/")
