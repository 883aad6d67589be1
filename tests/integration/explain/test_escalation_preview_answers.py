"""What a preview says besides whom a policy pages, and which previews are refused."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.preferences import at_noon, put
from tests.support.previews import PREVIEW, announced, assign, preview, severity, skipped, status, step
from tests.support.scenario import Opener, Tick, notify, steps
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def strict(settings: Settings) -> Settings:
    return settings.model_copy(update={"require_verified_addresses": True})


def test_an_address_that_is_not_verified_is_announced_as_skipped(
    client: TestClient,
    application: Any,
    strict: Settings,
    services: Services,
    on_call: Person,
    admin: Person,
    add_policy: Opener,
) -> None:
    channels = {"email": Outbox(), "sms": Outbox("sms")}
    application.state.services = build_services(strict, services.database, channels=channels)
    add_policy(steps=steps(0, target=on_call.id, channels=["sms"]))
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    assert skipped(found) == {(f"user:{on_call.id}", "sms", "not_verified")}


def test_a_preview_names_people_and_hides_most_of_their_addresses(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener
) -> None:
    add_policy(steps=steps(0, target=on_call.id, channels=["email", "sms"]))
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    [action] = found["policies"][0]["steps"][0]["actions"]
    assert action["type"] == "notify"
    assert [(p["name"], p["user_id"], p["channel"], p["address"]) for p in action["people"]] == [
        ("On Call", on_call.id, "email", "o***@example.com"),
        ("On Call", on_call.id, "sms", "***00"),
    ]


def test_a_preview_says_why_a_policy_does_not_match(client: TestClient, admin: Person, add_policy: Opener) -> None:
    conditions = {"severity": ["critical"], "service": "data*", "assigned": True, "metadata.region": ["eu", 5]}
    policy = add_policy(conditions=conditions)
    found = preview(client, admin, incident={"severity": "low", "service": "database", "metadata": {"region": "us"}})
    [one] = found["policies"]
    assert (one["policy_id"], one["name"], one["matches"]) == (policy["id"], policy["name"], False)
    assert (one["steps"], one["then_paged"], one["reaches_nobody"]) == ([], [], False)
    assert found["is_anybody_paged"] is False
    assert sorted(one["conditions"], key=lambda condition: condition["attribute"]) == [
        {"attribute": "assigned", "wanted": [True], "found": False, "holds": False},
        {"attribute": "metadata.region", "wanted": ["eu", 5], "found": "us", "holds": False},
        {"attribute": "service", "wanted": ["data*"], "found": "database", "holds": True},
        {"attribute": "severity", "wanted": ["critical"], "found": "low", "holds": False},
    ]


def test_a_policy_is_tried_before_it_is_saved(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener
) -> None:
    add_policy(name="Saved", is_active=True)
    add_policy(name="Off", is_active=False)
    draft = {"name": "Draft", "actions": [notify(target=on_call.id)], "is_active": False}
    found = preview(client, admin, incident={"severity": "low", "service": "database"}, policy=draft)
    assert [(policy["name"], policy["policy_id"] is None) for policy in found["policies"]] == [
        ("Saved", False),
        ("Draft", True),
    ]
    assert (f"user:{on_call.id}", "email", 0.0) in announced(found)
    names = {p["name"] for p in admin.on(client).call("GET /escalation/policies")}
    assert names == {"Saved", "Off"}


def test_a_preview_of_another_time_follows_the_quiet_hours(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, clock: Clock
) -> None:
    hours = {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin"}
    put(client, on_call, "email", quiet_severities=["high"], quiet_hours=hours)
    add_policy(steps=steps(0, target=on_call.id))
    day = f"{at_noon(clock):%Y-%m-%d}"
    fields = {"severity": "high", "service": "database"}
    by = {}
    for hour in ("12:00", "23:30"):
        found = preview(client, admin, incident=fields, at=f"{day}T{hour}:00+01:00")
        by[hour] = {channel for recipient, channel, _ in announced(found) if recipient == f"user:{on_call.id}"}
    assert by == {"12:00": {"email"}, "23:30": {"sms"}}


def test_a_preview_writes_and_sends_nothing(
    client: TestClient,
    on_call: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    session: Session,
    tick: Tick,
    outbox: Outbox,
) -> None:
    incident = open_incident()
    tick()
    sent = len(outbox.sent)
    tables = ("notifications", "incidents", "escalations", "escalation_events", "incident_assignments")

    def counts() -> list[int]:
        return [session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables]

    before, unchanged = counts(), admin.on(client).call(f"GET /incidents/{incident['id']}")
    draft = {
        "name": "Draft",
        "actions": [assign(on_call), severity("low"), notify(target="all"), status("acknowledged")],
    }
    found = preview(client, admin, incident_id=incident["id"], policy=draft)
    assert announced(found) != set()
    tick()
    assert (counts(), len(outbox.sent)) == (before, sent)
    assert admin.on(client).call(f"GET /incidents/{incident['id']}") == unchanged


def test_a_preview_is_for_administrators(client: TestClient, user: Person) -> None:
    body = {"incident": {"severity": "high", "service": "database"}}
    problem(client.post(PREVIEW, json=body, headers=user.headers), 403)
    assert client.post(PREVIEW, json=body).status_code == 401


MADE_UP = {"severity": "high", "service": "database"}


def draft(action: dict[str, Any]) -> dict[str, Any]:
    return {"incident": MADE_UP, "policy": {"name": "Draft", "steps": [step(0, action)]}}


REFUSED: list[tuple[Any, int, str | None]] = [
    ({}, 422, None),
    ({"incident_id": 1, "incident": MADE_UP}, 422, None),
    ({"incident_id": None, "incident": None}, 422, None),
    ({"incident_id": 0}, 422, "/incident_id"),
    ({"incident_id": "1"}, 422, "/incident_id"),
    ({"incident_id": 2_000_000_000}, 422, "/incident_id"),
    ({"incident": {"severity": "urgent", "service": "database"}}, 422, "/incident/severity"),
    ({"incident": {"severity": "high"}}, 422, "/incident/service"),
    ({"incident": MADE_UP | {"assigned_to": 2_000_000_000}}, 422, "/incident/assigned_to"),
    ({"incident": MADE_UP | {"metadata": []}}, 422, "/incident/metadata"),
    ({"incident": MADE_UP, "at": "tomorrow"}, 422, "/at"),
    ({"incident": MADE_UP, "at": "9999-12-31T23:59:59Z"}, 422, "/at"),
    ({"incident": MADE_UP, "at": "0001-01-01T00:00:00Z"}, 422, "/at"),
    ({"incident": MADE_UP, "policy": {"name": "Draft"}}, 422, "/policy/steps"),
    ({"incident": MADE_UP, "policy": {"name": "Draft", "actions": [notify(target="x")]}}, 422, None),
    (draft(notify(target=2_000_000_000)), 422, "/policy/steps/0/actions/0/target"),
    (draft(assign(2_000_000_000)), 422, "/policy/steps/0/actions/0/user_id"),
    (draft({"type": "comment", "content": "{{"}), 422, "/policy/steps/0/actions/0/content"),
    ([], 422, None),
]


def test_a_preview_that_cannot_be_made_is_refused(client: TestClient, admin: Person) -> None:
    for body, code, pointer in REFUSED:
        problem(client.post(PREVIEW, json=body, headers=admin.headers), code, pointer=pointer)
