"""The audit log as administrators read it: its fields, filters and pages, and all of it as JSON Lines."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.api import json_lines
from app.core import origin
from app.core.audit_actions import AuditAction
from app.db.session import Database
from app.services import audit_service
from app.services.audit_service import Audited
from app.services.operations import audit_retention_service
from tests.support.answers import problem
from tests.support.audited import logged
from tests.support.world import Person

FIELDS = {
    "id", "at", "action", "actor_id", "actor_name", "api_key_id", "session_id", "sender", "request_id", "object_type",
    "object_id", "changes",
}  # fmt: skip
LONG_AGO = "2020-01-01T00:00:00Z"
Fill = Callable[..., None]


@pytest.fixture
def fill(database: Database) -> Fill:
    """Writes entries about objects of one type, from id 1 on."""

    def run(
        count: int,
        object_type: str = "thing",
        *,
        actor_id: int | None = None,
        action: AuditAction = AuditAction.POLICY_UPDATED,
    ) -> None:
        changes = {"name": ("before", "after")}
        done = [Audited(action, object_type, number, changes, actor_id) for number in range(1, count + 1)]
        with database.transaction() as session:
            audit_service.record_all(session, done)

    return run


def test_an_entry_says_who_did_what_from_where(client: TestClient, admin: Person, user: Person) -> None:
    headers = {"X-Request-ID": "promotion-1"}
    admin.on(client).call(f"PUT /users/{user.id}", {"role": "viewer"}, headers=headers)
    [entry] = logged(admin.on(client), object_type="user", object_id=user.id)
    assert entry.keys() == FIELDS
    assert entry["at"].endswith("Z")
    assert (entry["action"], entry["object_type"], entry["object_id"]) == ("user.rights_changed", "user", str(user.id))
    assert (entry["actor_id"], entry["actor_name"]) == (admin.id, "admin")
    assert (entry["request_id"], entry["sender"], entry["api_key_id"]) == ("promotion-1", "testclient", None)
    assert entry["session_id"]
    assert entry["changes"] == {
        "role": {"from": "responder", "to": "viewer", "is_cut": False, "is_erased": False},
    }


def test_only_administrators_read_it(client: TestClient, user: Person) -> None:
    problem(user.on(client).send("GET /audit"), 403)
    problem(user.on(client).send("GET /audit?format=jsonl"), 403)
    problem(client.get("/v1/audit"), 401)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("object_type=a", ["a/3", "a/2", "a/1"]),
        ("object_type=a&object_id=2", ["a/2"]),
        ("object_type=c", []),
        ("actor_id=7", ["b/2", "b/1"]),
        ("actor_id=7&object_type=a", []),
        ("actor_id=7&object_type=b&object_id=1", ["b/1"]),
        ("action=policy.deleted", ["b/2", "b/1"]),
        ("action=policy.deleted&actor_id=8", []),
        (f"object_type=a&after={LONG_AGO}", ["a/3", "a/2", "a/1"]),
        (f"object_type=a&before={LONG_AGO}", []),
        (f"actor_id=7&after={LONG_AGO}&action=policy.deleted&object_type=b", ["b/2", "b/1"]),
    ],
)
def test_all_filters_must_hold(client: TestClient, admin: Person, fill: Fill, query: str, expected: list[str]) -> None:
    fill(3, "a")
    fill(2, "b", actor_id=7, action=AuditAction.POLICY_DELETED)
    found = admin.on(client).call(f"GET /audit?{query}")
    assert [f"{entry['object_type']}/{entry['object_id']}" for entry in found] == expected


def test_times_bound_the_list(client: TestClient, admin: Person, database: Database, fill: Fill) -> None:
    with database.transaction() as session:
        at = session.scalar(text("SELECT now()"))
    assert at is not None
    fill(1)
    later = (at + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    now = at.isoformat().replace("+00:00", "Z")
    api = admin.on(client)
    assert [len(logged(api, object_type="thing", after=time)) for time in (now, later)] == [1, 0]
    assert [len(logged(api, object_type="thing", before=time)) for time in (now, later)] == [0, 1]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("object_id=1", "object_id"),
        ("action=user.sung", "action"),
        ("actor_id=0", "actor_id"),
        ("after=yesterday", "after"),
        ("colour=red", "colour"),
        ("object_type=", "object_type"),
        ("format=xml", "format"),
        ("cursor=x", "cursor"),
    ],
)
def test_a_bad_query_is_refused(client: TestClient, admin: Person, query: str, pointer: str) -> None:
    problem(admin.on(client).send(f"GET /audit?{query}"), 422, pointer=pointer)


@pytest.mark.parametrize("query", ["object_type=thing", "action=policy.updated", f"after={LONG_AGO}"])
def test_the_link_leads_through_all_pages(client: TestClient, admin: Person, fill: Fill, query: str) -> None:
    fill(7)
    found, url = [], f"/v1/audit?{query}&limit=3"
    while url:
        answer = client.get(url, headers=admin.headers)
        assert answer.status_code == 200
        found += [entry["object_id"] for entry in answer.json()]
        url = answer.links.get("next", {}).get("url", "").removeprefix("http://testserver")
    assert found[:7] == ["7", "6", "5", "4", "3", "2", "1"]


def test_a_cursor_that_is_an_id_leads_on_from_there(client: TestClient, admin: Person, fill: Fill) -> None:
    fill(3)
    newest = logged(admin.on(client), object_type="thing")[0]
    assert len(logged(admin.on(client), object_type="thing", cursor=newest["id"])) == 2


def test_json_lines_have_all_that_match(client: TestClient, admin: Person, fill: Fill) -> None:
    count = 2 * json_lines.BATCH + 5
    fill(count, actor_id=admin.id)
    answer = admin.on(client).send("GET /audit?format=jsonl&object_type=thing&limit=1")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[:100] == logged(admin.on(client), object_type="thing", limit=100)
    assert [line["object_id"] for line in lines] == [str(number) for number in range(count, 0, -1)]
    assert {line["actor_name"] for line in lines} == {"admin"}


def test_json_lines_of_nothing_are_empty(client: TestClient, admin: Person) -> None:
    answer = admin.on(client).send("GET /audit?format=jsonl&object_type=nothing")
    assert (answer.status_code, answer.text) == (200, "")


def test_a_page_of_large_entries_is_cut_to_the_size_of_an_answer(
    client: TestClient, admin: Person, database: Database
) -> None:
    with database.transaction() as session:
        body = {"body": ("", "x" * 60_000)}
        large = [Audited(AuditAction.TEMPLATE_SET, "large", number, body) for number in range(120)]
        audit_service.record_all(session, large)
    answer = admin.on(client).send("GET /audit?object_type=large&limit=500")
    assert 0 < len(answer.json()) < 120
    assert len(answer.content) < 5 * 1024 * 1024
    assert "next" in answer.links
    lines = admin.on(client).send("GET /audit?object_type=large&format=jsonl").text.splitlines()
    assert len(lines) == 120


def test_erased_values_are_marked(client: TestClient, admin: Person, user: Person, database: Database) -> None:
    origin.begin(sender="192.0.2.1", request_id="r")
    with database.transaction() as session:
        changes = {"email": (None, "hidden@example.com")}
        audit_service.record(session, AuditAction.USER_UPDATED, "user", user.id, changes=changes, actor_id=user.id)
        audit_service.record(
            session, AuditAction.POLICY_UPDATED, "policy", 1, changes={"name": (1, 2)}, actor_id=user.id
        )
        audit_retention_service.erase(session, user.id)
    origin.begin(sender=None, request_id=None)
    [entry] = logged(admin.on(client), object_type="user", object_id=user.id, action="user.updated")
    assert entry["changes"] == {"email": {"from": None, "to": None, "is_cut": False, "is_erased": True}}
    assert entry["sender"] is None
    [other] = logged(admin.on(client), object_type="policy", object_id=1)
    assert (other["changes"]["name"]["to"], other["sender"]) == (2, None)
    [erasure] = logged(admin.on(client), action="audit.erased")
    assert (erasure["object_id"], erasure["changes"]["values"]["from"]) == (f"user {user.id}", 3)
