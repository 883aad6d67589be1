"""The record of an incident: every change, by whom, with its data, newest first."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Api
from tests.support.world import Clock, Person


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def newest(api: Api, incident_id: int) -> dict[str, Any]:
    event: dict[str, Any] = api.timeline(incident_id)[0]
    return event


def test_the_first_entry_is_the_opening_by_whoever_reported(api: Api, user: Person) -> None:
    incident = api.open(severity="high")
    [event] = api.timeline(incident["id"])
    assert event.keys() == {
        "id", "incident_id", "event_type", "description", "user_id", "user_name", "metadata", "created_at"
    }  # fmt: skip
    assert (event["incident_id"], event["event_type"], event["user_id"]) == (incident["id"], "created", user.id)
    assert event["metadata"] == {"source": "api"}
    assert event["created_at"] == incident["created_at"]
    assert "high" in event["description"]


def test_an_alert_opens_by_nobodys_hand(api: Api) -> None:
    [event] = api.timeline(api.alert(id="a")["incident_id"])
    assert (event["event_type"], event["user_id"], event["metadata"]) == ("created", None, {"source": "elastic"})


@pytest.mark.parametrize(
    ("line", "body", "event_type", "data"),
    [
        ("POST {}/acknowledge", None, "acknowledged", {"from": "open", "to": "acknowledged"}),
        ("POST {}/resolve", None, "resolved", {"from": "open", "to": "resolved"}),
        ("POST {}/snooze?hours=1", None, "snoozed", {"from": "open", "to": "snoozed"}),
        ("PUT {}", {"status": "resolved"}, "resolved", {"from": "open", "to": "resolved"}),
        ("PATCH {}", {"title": "New"}, "updated", {"changes": {"title": {"from": "Disk full", "to": "New"}}}),
        (
            "PUT {}",
            {"severity": "low", "description": None, "metadata": {"a": 1}},
            "updated",
            {"changes": {"severity": {"from": "medium", "to": "low"}, "metadata": {"from": {}, "to": {"a": 1}}}},
        ),
        (
            "POST {}/assign",
            {"user_id": "USER", "role": "lead"},
            "assigned",
            {"user_id_assigned": "USER", "role": "lead"},
        ),
    ],
)
def test_a_change_is_on_the_record_by_whom_and_with_its_data(
    api: Api,
    client: TestClient,
    sign_up: Callable[..., Person],
    line: str,
    body: dict[str, Any] | None,
    event_type: str,
    data: dict[str, Any],
) -> None:
    somebody = sign_up()
    incident = api.open()
    body, data = ({k: somebody.id if v == "USER" else v for k, v in given.items()} for given in (body or {}, data))
    Api(client, somebody.headers).call(line.format(f"/incidents/{incident['id']}"), body or None)
    events = api.timeline(incident["id"])
    kinds = [event["event_type"] for event in events]
    assert kinds == [event_type, *(["assigned"] if event_type == "acknowledged" else []), "created"]
    assert (events[0]["event_type"], events[0]["user_id"]) == (event_type, somebody.id)
    assert events[0]["metadata"].items() >= data.items()


def test_reopening_and_the_end_of_an_assignment_are_on_the_record(api: Api, user: Person) -> None:
    incident_id = api.open()["id"]
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": user.id})
    api.call(f"DELETE /incidents/{incident_id}/assign/{user.id}")
    event = newest(api, incident_id)
    assert (event["event_type"], event["user_id"]) == ("unassigned", user.id)
    assert event["metadata"] == {"user_id_unassigned": user.id, "user_name_unassigned": "user"}
    api.call(f"POST /incidents/{incident_id}/resolve")
    api.call(f"POST /incidents/{incident_id}/reopen")
    event = newest(api, incident_id)
    assert (event["event_type"], event["user_id"]) == ("reopened", user.id)
    assert event["metadata"] == {"from": "resolved", "to": "open"}


def test_a_comment_is_on_the_record_and_moves_the_incidents_time(api: Api, user: Person, clock: Clock) -> None:
    incident = api.open()
    clock.advance(minutes=1)
    comment = api.call(f"POST /incidents/{incident['id']}/comments", {"content": "On it."})
    event = newest(api, incident["id"])
    assert (event["event_type"], event["user_id"]) == ("commented", user.id)
    assert event["metadata"] == {"comment_id": comment["id"]}
    assert api.incident(incident["id"])["updated_at"] == comment["created_at"] == event["created_at"]


def test_a_repeated_alert_is_on_the_record_with_its_number(api: Api, clock: Clock) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    clock.advance(minutes=1)
    api.alert(id="a")
    event = newest(api, incident_id)
    assert (event["event_type"], event["user_id"], event["metadata"]) == ("alert_repeated", None, {"alert_count": 2})
    incident = api.incident(incident_id)
    assert incident["last_alert_at"] == incident["updated_at"] == event["created_at"] > incident["created_at"]


def test_a_raised_severity_and_a_recovery_are_on_the_record(api: Api) -> None:
    incident_id = api.alert(id="a", severity="low")["incident_id"]
    api.call(f"POST /incidents/{incident_id}/acknowledge")
    api.alert(id="a", severity="critical")
    event = newest(api, incident_id)
    assert (event["event_type"], event["user_id"]) == ("severity_raised", None)
    assert event["metadata"] == {"from": "low", "to": "critical", "status_was": "acknowledged"}
    api.alert(id="a", status="recovered")
    event = newest(api, incident_id)
    assert (event["event_type"], event["user_id"]) == ("resolved", None)
    assert "recovered" in event["description"]


def test_the_record_is_newest_first_also_among_entries_of_one_moment(api: Api, clock: Clock) -> None:
    incident_id = api.open()["id"]
    for _ in range(2):
        api.call(f"PUT /incidents/{incident_id}", {"title": "Done", "status": "resolved"})
        api.call(f"PUT /incidents/{incident_id}", {"title": "Again", "status": "open"})
        clock.advance(minutes=1)
    events = api.timeline(incident_id)
    once = ["reopened", "updated", "resolved", "updated"]
    assert [event["event_type"] for event in events] == [*once, *once, "created"]
    times = [datetime.fromisoformat(event["created_at"]) for event in events]
    assert times == sorted(times, reverse=True)
    assert times[0] - times[-1] == timedelta(minutes=1)


def test_what_is_refused_is_not_on_the_record(api: Api) -> None:
    incident_id = api.open()["id"]
    api.call(f"POST /incidents/{incident_id}/resolve")
    record = api.timeline(incident_id)
    api.call(f"PUT /incidents/{incident_id}", {"title": "New", "status": "acknowledged"}, wants=409)
    api.call(f"POST /incidents/{incident_id}/snooze?hours=1", wants=409)
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": 999_999}, wants=422)
    assert api.timeline(incident_id) == record


def test_the_record_stays_when_its_author_is_deleted(
    api: Api, client: TestClient, admin: Person, sign_up: Callable[..., Person]
) -> None:
    author = sign_up()
    incident_id = Api(client, author.headers).open()["id"]
    Api(client, admin.headers).call(f"DELETE /users/{author.id}")
    assert [event["user_id"] for event in api.timeline(incident_id)] == [author.id]
    assert api.incident(incident_id)["created_by"] == author.id
