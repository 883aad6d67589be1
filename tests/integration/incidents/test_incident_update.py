"""Opening incidents and changing their fields."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from tests.support.answers import problem
from tests.support.api import JSON, Api, together
from tests.support.world import Clock, Person, real_connections

CHANGES: list[tuple[str, Any]] = [
    ("title", "Disk is full"),
    ("title", "x" * 255),
    ("description", "97 %\nand rising"),
    ("description", None),
    ("severity", "critical"),
    ("service", "primary-db"),
    ("metadata", {"disk": {"free": [1, 2.5, None, True, "é😀"]}}),
    ("metadata", {}),
]
WRONG: list[tuple[str, Any]] = [
    ("title", None),
    ("title", ""),
    ("title", "   "),
    ("title", "x" * 256),
    ("title", 5),
    ("description", "x" * 20_001),
    ("severity", None),
    ("severity", "urgent"),
    ("severity", "HIGH"),
    ("service", None),
    ("service", " "),
    ("service", "x" * 101),
    ("assigned_to", 999_999),
    ("assigned_to", 0),
    ("assigned_to", "1"),
    ("metadata", None),
    ("metadata", []),
    ("status", None),
    ("status", "closed"),
    ("state", "open"),
]
FULL = {"title": "Disk full", "description": "97 %", "severity": "low", "service": "db", "metadata": {"a": 1}}


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def shown(incident: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    return {name: incident[name] for name in like}


def test_who_opens_an_incident_says_what_and_the_server_says_the_rest(api: Api, user: Person) -> None:
    others = {
        "id": 7,
        "status": "resolved",
        "created_by": 999,
        "source": "elastic",
        "resolved_at": "2001-01-01T00:00:00Z",
    }
    incident = api.call("POST /incidents", {**FULL, **others}, wants=201)
    assert shown(incident, FULL) == FULL
    assert (incident["status"], incident["created_by"], incident["source"]) == ("open", user.id, "api")
    empty = ["assigned_to", "alert_id", "acknowledged_at", "resolved_at", "snoozed_until", "next_escalation_at"]
    assert all(incident[name] is None for name in empty)
    assert incident["id"] != 7
    assert incident["created_at"] == incident["updated_at"]
    assert incident["created_at"].endswith("Z")


def test_white_space_around_names_is_not_kept(api: Api) -> None:
    incident = api.open(title="  Disk\tfull \n", service=" db ")
    assert (incident["title"], incident["service"]) == ("Disk\tfull", "db")


@pytest.mark.parametrize("missing", ["title", "severity", "service"])
def test_an_incident_needs_a_title_a_severity_and_a_service(api: Api, missing: str) -> None:
    body = {name: value for name, value in FULL.items() if name != missing}
    problem(api.send("POST /incidents", body), 422, pointer=f"/{missing}")


@pytest.mark.parametrize(("field", "value"), [case for case in WRONG if case[0] != "status"])
def test_an_incident_is_not_opened_with_a_wrong_value(api: Api, field: str, value: Any) -> None:
    problem(api.send("POST /incidents", {**FULL, field: value}), 422, pointer=f"/{field}")
    assert api.call("GET /incidents") == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_what_is_named_changes_and_the_rest_stays(api: Api, clock: Clock, method: str, field: str, value: Any) -> None:
    before = api.open(**FULL)
    clock.advance(minutes=1)
    after = api.call(f"{method} /incidents/{before['id']}", {field: value})
    assert after[field] == value
    assert after["updated_at"] > before["updated_at"]
    rest = before.keys() - {field, "updated_at"}
    assert shown(after, dict.fromkeys(rest)) == shown(before, dict.fromkeys(rest))
    assert shown(api.incident(before["id"]), after) == after


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_value_is_refused_by_its_field_and_changes_nothing(
    api: Api, method: str, field: str, value: Any
) -> None:
    before = api.open()
    answer = api.send(f"{method} /incidents/{before['id']}", {"description": "changed", field: value})
    problem(answer, 422, pointer=f"/{field}")
    assert shown(api.incident(before["id"]), before) == before


def test_get_edit_put_works_with_the_whole_record(api: Api, user: Person) -> None:
    incident_id = api.open(**FULL)["id"]
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": user.id})
    api.call(f"POST /incidents/{incident_id}/comments", {"content": "On it."})
    api.call(f"POST /incidents/{incident_id}/snooze?hours=1")
    whole = api.incident(incident_id)
    changed = api.call(f"PUT /incidents/{incident_id}", {**whole, "title": "Edited"})
    assert changed == {**shown(whole, changed), "title": "Edited", "updated_at": changed["updated_at"]}


def test_what_only_the_server_sets_is_ignored_in_a_put(api: Api) -> None:
    before = api.open()
    theirs = {
        "id": 7,
        "created_by": 7,
        "alert_id": "x",
        "source": "x",
        "alert_count": 7,
        "snoozed_until": None,
        **dict.fromkeys(("created_at", "updated_at", "resolved_at", "last_alert_at"), "2001-01-01T00:00:00Z"),
    }
    assert api.call(f"PUT /incidents/{before['id']}", theirs) == before


@pytest.mark.parametrize("body", [{}, FULL, {"status": "open"}, {"title": FULL["title"]}])
def test_a_put_that_changes_nothing_leaves_no_trace(api: Api, clock: Clock, body: dict[str, Any]) -> None:
    before = api.open(**FULL)
    clock.advance(minutes=1)
    assert api.call(f"PUT /incidents/{before['id']}", body) == before
    assert len(api.timeline(before["id"])) == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (True, 1), ([1], [True]), ({"b": 0}, {"b": False})])
def test_a_number_in_the_metadata_is_not_the_truth_value_it_resembles(api: Api, old: Any, new: Any) -> None:
    incident_id = api.open(metadata={"a": old})["id"]
    answer = api.send(f"PUT /incidents/{incident_id}", {"metadata": {"a": new}})
    assert answer.json()["metadata"] == {"a": new}
    assert repr(api.incident(incident_id)["metadata"]) == repr({"a": new})


@pytest.mark.parametrize("value", ["1e20", "1e300", "-1e-300", "9" * 4000, "[" * 60 + "]" * 60, '"\\u0000\\ud800"'])
def test_what_an_alert_brought_can_be_sent_back(api: Api, value: str) -> None:
    body = f'{{"alerts": [{{"alert_id": "a", "value": {value}}}]}}'
    incident_id = api.call("POST /alerts/elastic", content=body, headers=JSON, wants=201)["incident_id"]
    whole = api.send(f"GET /incidents/{incident_id}").content
    changed = api.call(f"PUT /incidents/{incident_id}", content=whole, headers=JSON)
    assert changed["metadata"] == api.incident(incident_id)["metadata"]


def test_an_owner_is_given_and_taken(api: Api, user: Person) -> None:
    incident_id = api.open()["id"]
    assert api.call(f"PUT /incidents/{incident_id}", {"assigned_to": user.id})["assigned_to"] == user.id
    assert api.call(f"PUT /incidents/{incident_id}", {"assigned_to": None})["assigned_to"] is None
    assert api.open(assigned_to=user.id)["assigned_to"] == user.id


def test_somebody_who_is_gone_cannot_become_the_owner_but_may_still_be_it(
    api: Api, client: TestClient, admin: Person, sign_up: Callable[..., Person]
) -> None:
    gone = sign_up()
    theirs, other = api.open(assigned_to=gone.id), api.open()
    admin.on(client).call(f"PUT /users/{gone.id}", {"is_active": False})
    problem(api.send(f"PUT /incidents/{other['id']}", {"assigned_to": gone.id}), 422, pointer="/assigned_to")
    problem(api.send("POST /incidents", {**FULL, "assigned_to": gone.id}), 422, pointer="/assigned_to")
    kept = api.call(f"PUT /incidents/{theirs['id']}", {**theirs, "title": "Edited"})
    assert (kept["title"], kept["assigned_to"]) == ("Edited", gone.id)


def test_fields_and_status_change_together(api: Api) -> None:
    before = api.open()
    after = api.call(f"PUT /incidents/{before['id']}", {"status": "resolved", "description": "Cleaned up"})
    assert (after["status"], after["description"]) == ("resolved", "Cleaned up")
    assert [event["event_type"] for event in api.timeline(before["id"])] == ["resolved", "updated", "created"]


def test_an_incident_that_is_not_there_is_not_changed(api: Api) -> None:
    for method in ("PUT", "PATCH"):
        problem(api.send(f"{method} /incidents/999999", {"title": "x"}), 404)


def test_concurrent_changes_of_different_fields_are_all_kept(settings: Settings, own_database: Database) -> None:
    fields = {"title": "New", "description": "New", "severity": "critical", "service": "new", "metadata": {"a": 1}}
    with real_connections(settings, own_database) as api:
        line = f"PUT /incidents/{api.open()['id']}"
        together([partial(api.call, line, {field: value}) for field, value in fields.items()])
        assert shown(api.call(line.replace("PUT", "GET")), fields) == fields
