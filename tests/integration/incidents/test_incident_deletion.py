"""Deleting an incident: its record goes with it, nobody is paged for it, and the audit log keeps that it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.session import Database
from app.services.policies import step_service
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.scenario import Opener, Tick, steps
from tests.support.world import Outbox, Person, real_connections

OF_AN_INCIDENT = (
    "incident_assignments", "incident_comments", "timeline_events", "escalations", "escalation_events", "notifications",
)  # fmt: skip
Deletion = Callable[..., Any]


@pytest.fixture
def delete(client: TestClient, admin: Person) -> Deletion:
    return lambda incident, by=admin: client.delete(f"/v1/incidents/{incident['id']}", headers=by.headers)


def left(session: Session) -> dict[str, int]:
    return {table: session.scalar(text(f"SELECT count(*) FROM {table}")) or 0 for table in OF_AN_INCIDENT}


def test_a_deleted_incident_is_answered_once_more_and_then_gone(
    client: TestClient, admin: Person, open_incident: Opener, delete: Deletion
) -> None:
    incident = open_incident(title="The disk is full")
    answer = delete(incident)
    assert (answer.status_code, answer.json()["title"]) == (200, "The disk is full")
    assert answer.json()["created_by_name"]
    for _ in range(2):
        problem(delete(incident), 404)
    problem(client.get(f"/v1/incidents/{incident['id']}", headers=admin.headers), 404)
    assert client.get("/v1/incidents", headers=admin.headers).json() == []


def test_its_whole_record_goes_and_that_of_others_stays(
    client: TestClient, admin: Person, session: Session, add_policy: Opener, open_incident: Opener, tick: Tick,
    delete: Deletion,
) -> None:  # fmt: skip
    add_policy()
    kept = open_incident()
    tick()
    before = left(session)
    gone = open_incident()
    client.post(f"/v1/incidents/{gone['id']}/acknowledge", json={"comment": "Mine."}, headers=admin.headers)
    tick()
    assert left(session) != before
    assert delete(gone).status_code == 200
    assert left(session) == before
    assert client.get(f"/v1/incidents/{kept['id']}", headers=admin.headers).status_code == 200


def test_pages_that_are_not_sent_yet_are_not_sent(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, outbox: Outbox, delete: Deletion
) -> None:
    add_policy()
    incident = open_incident()
    jobs.plan()
    delete(incident)
    jobs.send()
    jobs.plan()
    jobs.send()
    assert outbox.sent == []


def test_its_alert_opens_a_new_incident_when_it_fires_again(client: TestClient, delete: Deletion) -> None:
    opened = [client.post("/v1/alerts/elastic", json={"alert_id": "a"}).json()["incident_id"] for _ in range(2)]
    assert opened[0] == opened[1]
    assert delete({"id": opened[0]}).status_code == 200
    again = client.post("/v1/alerts/elastic", json={"alert_id": "a"}).json()
    assert (again["status"], again["incident_id"] == opened[0]) == ("incident_created", False)


def test_deletions_while_steps_fire_all_succeed(settings: Any, own_database: Database, services: Services) -> None:
    with real_connections(settings, own_database) as api:
        policy = {"name": "all", "conditions": {}, "steps": steps(0)}
        api.call("POST /escalation/policies", policy, wants=201)
        body = {"title": "t", "severity": "high", "service": "s"}
        ids = [api.call("POST /incidents", body, wants=201)["id"] for _ in range(20)]
        with ThreadPoolExecutor(4) as threads:
            deletions = [threads.submit(api.call, f"DELETE /incidents/{id_}") for id_ in ids]
            while not all(deletion.done() for deletion in deletions):
                with own_database.transaction() as session:
                    step_service.run_due(session, services.paging, limit=5)
        assert [deletion.result()["id"] for deletion in deletions] == ids
        assert api.call("GET /incidents") == []
    with own_database.transaction() as session:
        assert set(left(session).values()) == {0}
