"""An answer stays within 4 MiB and loads no more, however large its rows are; its links lead to the rest."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.crud import crud_incident
from app.crud.incident_list import IncidentFilter
from app.crud.pagination import MAX_BYTES
from app.crud.time_slice import TimeSlice
from app.db.session import Database
from tests.support.api import Api
from tests.support.world import Person

pytestmark = pytest.mark.slow

NEXT = re.compile(r'<([^<>]+)>; rel="next"')
ROWS = 40
METADATA = "jsonb_build_object('n', g, 'text', repeat('ü', 150000))"  # 300 kB
TEXT = "repeat(E'\\u0001', 20000)"  # 120 kB as JSON
NUMBERS = "(SELECT jsonb_build_object('n', g, 'all', jsonb_agg(1e300)) FROM generate_series(1, 1000))"  # 300 kB
VALUES = "(SELECT jsonb_build_object('n', g, 'all', jsonb_agg('{}'::jsonb)) FROM generate_series(1, 9000))"  # 36 kB
STEPS = """jsonb_build_array(jsonb_build_object('delay_minutes', 0, 'actions', jsonb_build_array(
    jsonb_build_object('type', 'notify', 'message', repeat('x', 300000)))))"""
POLICY = "(SELECT min(id) FROM escalation_policies)"
ERROR = "repeat(E'\\u0001', 1000)"
EACH = f"FROM generate_series(1, {ROWS}) g"
SEEDS = {
    "/incidents": "INSERT INTO incidents (title, severity, service, metadata) "
    f"SELECT 'Large', 'low', 'db', {METADATA} {EACH}",
    "/incidents?service=numbers": "INSERT INTO incidents (title, severity, service, metadata) "
    f"SELECT 'Large', 'low', 'numbers', {NUMBERS} {EACH}",
    "/incidents?service=values": "INSERT INTO incidents (title, severity, service, metadata) "
    f"SELECT 'Large', 'low', 'values', {VALUES} {EACH}",
    "/incidents/{id}/comments": "INSERT INTO incident_comments (incident_id, user_id, content) "
    f"SELECT :id, :user, {TEXT} {EACH}",
    "/incidents/{id}/timeline": "INSERT INTO timeline_events (incident_id, event_type, description, metadata) "
    f"SELECT :id, 'updated', 'Changed.', {METADATA} {EACH}",
    "/incidents/{id}/escalation-events": "INSERT INTO escalation_events "
    f"(incident_id, policy_id, cycle, loop, step, status, metadata) SELECT :id, {POLICY}, 1, 0, g, 'completed', "
    f"{METADATA} {EACH}",
    "/incidents/{id}/notifications": "INSERT INTO notifications "
    "(incident_id, recipient, channel, address, kind, subject, body, status) SELECT "
    f":id, 'x', 'email', 'x', 'page', 'Large', {TEXT}, 'accepted' {EACH}",
    "/notifications": "WITH n AS (INSERT INTO notifications "
    "(incident_id, recipient, channel, address, kind, subject, body, status) SELECT "
    f":id, 'x', 'email', 'x', 'page', 'Large', '', 'dead' {EACH} RETURNING id) "
    "INSERT INTO notification_attempts (notification_id, at, outcome, latency_ms, error) "
    f"SELECT n.id, now(), 'dead', 1, {ERROR} FROM n, generate_series(1, 50)",
    "/escalation/policies": f"INSERT INTO escalation_policies (name, steps) SELECT 'Large ' || g, {STEPS} {EACH}",
    "/escalation/policies?has_warnings=true": "INSERT INTO escalation_policies (name, steps) "
    f"SELECT 'Large ' || g, {STEPS} {EACH}",
}


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


def seed(database: Database, admin: Person, incident: dict[str, Any], path: str) -> None:
    with database.transaction() as session:
        session.execute(text(SEEDS[path]), {"id": incident["id"], "user": admin.id})


def pages(api: Api, path: str) -> Iterator[tuple[int, list[int]]]:
    """The size of each answer and the ids in it, through the links to the end."""
    url = f"/v1{path}"
    while url:
        answer = api.client.get(url, headers=api.headers)
        assert answer.status_code == 200, answer.text[:300]
        yield len(answer.content), [row["id"] for row in answer.json()]
        link = NEXT.fullmatch(answer.headers.get("link", ""))
        url = link[1] if link else ""


@pytest.mark.parametrize("path", SEEDS)
def test_the_links_lead_through_large_rows_and_lose_none(
    api: Api, admin: Person, database: Database, path: str
) -> None:
    incident = api.open()
    api.call("POST /escalation/policies", {"name": "A", "actions": [{"type": "notify"}]}, wants=201)
    seed(database, admin, incident, path)
    found = list(pages(api, path.format(id=incident["id"])))
    seen = [id_ for _, ids in found for id_ in ids]
    assert len(seen) >= ROWS
    assert len(set(seen)) == len(seen)
    assert seen in (sorted(seen), sorted(seen, reverse=True))
    assert all(size <= MAX_BYTES for size, _ in found)
    assert 2 <= len(found) <= 8


def test_many_small_values_count_by_the_memory_that_they_take(
    api: Api, admin: Person, database: Database, open_incident: Callable[..., dict[str, Any]]
) -> None:
    seed(database, admin, open_incident(), "/incidents?service=values")
    assert len(api.call("GET /incidents?service=values")) == 6


def test_a_row_over_the_limit_is_answered_alone(api: Api, database: Database) -> None:
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO incidents (title, severity, service, metadata) SELECT 'Huge', 'low', 'db', "
                "jsonb_build_object('text', repeat('x', 5000000)) FROM generate_series(1, 2)"
            )
        )
    assert [len(ids) for _, ids in pages(api, "/incidents?limit=3")][:2] == [1, 1]


def test_what_is_not_answered_is_not_loaded(api: Api, admin: Person, database: Database) -> None:
    incident = api.open()
    seed(database, admin, incident, "/incidents")
    with database.session() as session:
        page = crud_incident.slice(session, IncidentFilter(), TimeSlice(limit=500, max_bytes=1_000_000))
        assert page.is_cut
        assert len(page) == 3


def test_an_incident_comes_with_a_mebibyte_of_each_record(api: Api, admin: Person, database: Database) -> None:
    incident = api.open()
    for path in ("/incidents/{id}/comments", "/incidents/{id}/timeline"):
        seed(database, admin, incident, path)
    answer = api.send(f"GET /incidents/{incident['id']}")
    assert len(answer.content) <= 3 * 1024 * 1024
    found = answer.json()
    newest = [event["id"] for event in found["timeline_events"]]
    assert len(newest) == 3
    timeline = [id_ for _, ids in pages(api, f"/incidents/{incident['id']}/timeline") for id_ in ids]
    assert newest == timeline[:3]
    assert len(found["comments"]) == 8
