"""A preview announces what then happens: the same people, by the same channels, at the same times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.answers import problem
from tests.conftest import Clock, Outbox, Person
from tests.scenario import Opener, Tick, events, notify, steps

PREVIEW = "/v1/escalation/preview"
LAST_MINUTE = 20.0  # of what is compared
Page = tuple[str, str | None, float]
Step = dict[str, Any]


@pytest.fixture
def sms() -> Outbox:
    return Outbox("sms")


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox, sms: Outbox) -> Services:
    """An installation with two channels."""
    return build_services(settings, database, channels={"email": outbox, "sms": sms})


@pytest.fixture
def on_call(sign_up: Callable[..., Person]) -> Person:
    return sign_up("oncall@example.com", phone_number="+15550100", full_name="On Call")


@pytest.fixture
def other(sign_up: Callable[..., Person]) -> Person:
    """Somebody without a phone."""
    return sign_up("other@example.com")


def ask(client: TestClient, admin: Person, **body: Any) -> Response:
    return client.post(PREVIEW, json=body, headers=admin.headers)


def preview(client: TestClient, admin: Person, **body: Any) -> dict[str, Any]:
    answer = ask(client, admin, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def prefer(client: TestClient, by: Person, channel: str, **change: Any) -> None:
    answer = client.put(f"/v1/notification-preferences/me/{channel}", json=change, headers=by.headers)
    assert answer.status_code == 200, answer.text


def step(delay: float, *actions: dict[str, Any]) -> Step:
    return {"delay_minutes": delay, "actions": list(actions)}


def assign(person: Person | int) -> dict[str, Any]:
    return {"type": "assign", "user_id": person if isinstance(person, int) else person.id}


def status(to: str) -> dict[str, Any]:
    return {"type": "change_status", "status": to}


def severity(to: str) -> dict[str, Any]:
    return {"type": "set_severity", "severity": to}


def announced(found: dict[str, Any]) -> set[Page]:
    """Every page that a preview speaks of: who, by which channel, in how many minutes."""
    began_at, pages = datetime.fromisoformat(found["at"]), set()
    for policy in found["policies"]:
        fired = [one for one in policy["steps"] if one["due_at"] is not None]
        for one in fired:
            after = (datetime.fromisoformat(one["due_at"]) - began_at) / timedelta(minutes=1)
            people = [person for action in one["actions"] for person in action["people"]]
            last = policy["then_paged"] if one is fired[-1] else []
            pages |= {(p["recipient"], p["channel"], after) for p in people + last if p["skipped"] is None}
    return pages


def skipped(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    people = [p for policy in found["policies"] for one in policy["steps"] for a in one["actions"] for p in a["people"]]
    return {(p["recipient"], p["channel"], p["skipped"]) for p in people if p["skipped"] is not None}


def at_noon(clock: Clock) -> datetime:
    """Move the service's time to a noon in UTC."""
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    clock.advance(seconds=(noon - now).total_seconds())
    return noon


class Run:
    """What really happens to an incident within some minutes."""

    def __init__(self, client: TestClient, session: Session, admin: Person, tick: Tick, clock: Clock) -> None:
        self._client, self._session, self._admin, self._tick, self._clock = client, session, admin, tick, clock

    def __call__(self, incident: dict[str, Any], *delays: float) -> set[Page]:
        """Every page that is written; the clock moves from one delay to the next."""
        self._tick()
        for before, after in pairwise(sorted({0.0, *delays, LAST_MINUTE})):
            self._clock.advance(minutes=after - before)
            self._tick()
        query = text(
            "SELECT n.recipient, n.channel, extract(epoch FROM n.created_at - i.created_at) / 60 FROM notifications n"
            " JOIN incidents i ON i.id = n.incident_id WHERE i.id = :id AND n.kind = 'page'"
        )
        rows = self._session.execute(query, {"id": incident["id"]})
        return {(recipient, channel, float(minutes)) for recipient, channel, minutes in rows}

    def skipped(self, incident: dict[str, Any]) -> set[tuple[str, str, str]]:
        skips = [s for event in events(self._client, incident, self._admin) for s in event["metadata"]["skipped"]]
        return {(s["recipient"], s["channel"], s["reason"]) for s in skips}


@pytest.fixture
def run(client: TestClient, session: Session, admin: Person, tick: Tick, clock: Clock) -> Run:
    return Run(client, session, admin, tick, clock)


# Each builds a policy from the person on call, another one, and the administrator; the incident is high.
Scenario = Callable[[Person, Person, Person], dict[str, Any]]
SCENARIOS: dict[str, Scenario] = {
    "steps one after the other": lambda a, b, c: {"steps": [*steps(0, target=a.id), *steps(5, 15, target=b.id)]},
    "a first step that waits": lambda a, b, c: {"steps": steps(3, target=[a.id, b.id])},
    "everybody": lambda a, b, c: {"steps": steps(0, target="all")},
    "the creator": lambda a, b, c: {"steps": steps(0, target="creator")},
    "named twice": lambda a, b, c: {"steps": steps(0, target=[a.id, a.email, "admins"])},
    "no account": lambda a, b, c: {"steps": steps(0, target="stranger@example.com")},
    "two channels": lambda a, b, c: {"steps": steps(0, target=[a.id, b.id], channels=["email", "sms"])},
    "a channel that some have": lambda a, b, c: {"steps": steps(0, target=[a.id, b.id], channels=["sms"])},
    "a channel that one has not": lambda a, b, c: {"steps": steps(0, target=b.id, channels=["sms"])},
    "a channel that is not set up": lambda a, b, c: {"steps": steps(0, target=a.id, channels=["slack"])},
    "some not set up": lambda a, b, c: {"steps": steps(0, target=a.id, channels=["slack", "sms"])},
    "nobody assigned": lambda a, b, c: {"steps": [*steps(0, target="assignees"), *steps(10, target=b.id)]},
    "nobody at all": lambda a, b, c: {"steps": steps(0, 5, target="assignees")},
    "no page at all": lambda a, b, c: {"steps": [step(2, {"type": "comment", "content": "Nobody."})]},
    "a comment between pages": lambda a, b, c: {
        "steps": [*steps(0, target=a.id), step(5, {"type": "comment", "content": "."}), *steps(9, target=b.id)]
    },
    "assigned and paged": lambda a, b, c: {"steps": [step(0, assign(a), notify(target="assignees"))]},
    "assigned before": lambda a, b, c: {"steps": [step(0, assign(a)), *steps(5, target="assignees")]},
    "assigned on a channel": lambda a, b, c: {"steps": [step(0, assign(a), assign(b)), *steps(5, target="sms")]},
    "acknowledged by a step": lambda a, b, c: {
        "steps": [step(0, notify(target=a.id), status("acknowledged")), *steps(5, target=b.id)]
    },
    "resolved before anybody is paged": lambda a, b, c: {"steps": [step(0, status("resolved")), *steps(5)]},
    "reopened though it is open": lambda a, b, c: {"steps": [step(0, status("open")), *steps(5, target=b.id)]},
    "a severity that the policy wants no more": lambda a, b, c: {
        "conditions": {"severity": "high"},
        "steps": [step(0, severity("critical"), notify(target=a.id)), *steps(5, target=b.id)],
    },
    "a severity that the policy wants too": lambda a, b, c: {
        "conditions": {"severity": ["high", "critical"]},
        "steps": [step(0, severity("critical")), *steps(5, target=b.id)],
    },
    "the severity that it has": lambda a, b, c: {
        "conditions": {"severity": "high"},
        "steps": [step(0, severity("high")), *steps(5, target=b.id)],
    },
    "a severity after somebody was assigned": lambda a, b, c: {
        "conditions": {"assigned": False},
        "steps": [step(0, assign(a)), step(1, severity("low")), *steps(5, target=b.id)],
    },
    "assigned though it was not to be": lambda a, b, c: {
        "conditions": {"assigned": False},
        "steps": [step(0, assign(a)), *steps(5, target=b.id)],
    },
    "a severity that makes it quiet": lambda a, b, c: {"steps": [step(0, severity("low"), notify(target=a.id))]},
    "quiet by then": lambda a, b, c: {"steps": [*steps(0, target=a.id), *steps(10, 18, target=a.id)]},
    "another severity": lambda a, b, c: {"conditions": {"severity": "low"}, "steps": steps(0)},
    "another service": lambda a, b, c: {"conditions": {"service": ["web*", "data"]}, "steps": steps(0)},
    "metadata": lambda a, b, c: {"conditions": {"metadata.host.name": "db-1"}, "steps": steps(0, target=a.id)},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_announced_happens(
    name: str,
    client: TestClient,
    on_call: Person,
    other: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    clock: Clock,
    run: Run,
) -> None:
    at_noon(clock)
    prefer(client, on_call, "sms", position=1, quiet_severities=["low"])
    hours = {"from": "12:10", "until": "12:15", "time_zone": "UTC"}
    prefer(client, on_call, "email", quiet_severities=["high"], quiet_hours=hours)
    prefer(client, admin, "sms", address="+15550111", enabled=False)
    policy = add_policy(**SCENARIOS[name](on_call, other, admin))
    fields = {"severity": "high", "service": "database", "metadata": {"host": {"name": "DB-1"}}}
    made_up = preview(client, admin, incident=fields)
    incident = open_incident(by=admin, **fields)
    saved = preview(client, admin, incident_id=incident["id"])
    assert saved == made_up
    happened = run(incident, *(one["delay_minutes"] for one in policy["steps"]))
    assert announced(made_up) == happened
    assert skipped(made_up) == run.skipped(incident)
    assert made_up["is_anybody_paged"] is bool(happened)


def test_who_has_left_is_not_announced(
    client: TestClient,
    on_call: Person,
    other: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    run: Run,
) -> None:
    add_policy(steps=[step(0, assign(other), notify(target=["assignees", other.id, on_call.id]))])
    answer = client.put(f"/v1/users/{other.id}", json={"is_active": False}, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    assert announced(found) == {(f"user:{on_call.id}", "email", 0.0)} == run(open_incident())


def test_quiet_channels_and_disabled_ones_are_announced_too(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, run: Run
) -> None:
    """The first step reaches nobody, so the second comes at once; it neither, and the administrators are paged."""
    prefer(client, on_call, "sms", enabled=False)
    prefer(client, on_call, "email", quiet_severities=["high"])
    add_policy(steps=[*steps(0, target=on_call.id), *steps(30, target=on_call.id, channels=["sms"])])
    fields = {"severity": "high", "service": "database"}
    found = preview(client, admin, incident=fields)
    [policy] = found["policies"]
    assert policy["reaches_nobody"] is True
    assert [one["due_at"] for one in policy["steps"]] == [found["at"], found["at"]]
    assert [person["recipient"] for person in policy["then_paged"]] == [f"user:{admin.id}"]
    incident = open_incident(**fields)
    assert run(incident) == announced(found) == {(f"user:{admin.id}", "email", 0.0)}
    assert run.skipped(incident) == skipped(found)


def test_when_not_even_an_administrator_can_be_reached_the_preview_says_so(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, run: Run
) -> None:
    prefer(client, admin, "email", enabled=False)
    add_policy()
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    [policy] = found["policies"]
    assert (found["is_anybody_paged"], policy["reaches_nobody"]) == (False, True)
    assert [person["skipped"] for person in policy["then_paged"]] == ["disabled_by_recipient", "no_address"]
    assert run(open_incident()) == set()


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
    names = {p["name"] for p in client.get("/v1/escalation/policies", headers=admin.headers).json()}
    assert names == {"Saved", "Off"}


def test_a_preview_of_another_time_follows_the_quiet_hours(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, clock: Clock
) -> None:
    hours = {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin"}
    prefer(client, on_call, "email", quiet_severities=["high"], quiet_hours=hours)
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

    before, unchanged = counts(), client.get(f"/v1/incidents/{incident['id']}", headers=admin.headers).json()
    draft = {
        "name": "Draft",
        "actions": [assign(on_call), severity("low"), notify(target="all"), status("acknowledged")],
    }
    found = preview(client, admin, incident_id=incident["id"], policy=draft)
    assert announced(found) != set()
    tick()
    assert (counts(), len(outbox.sent)) == (before, sent)
    assert client.get(f"/v1/incidents/{incident['id']}", headers=admin.headers).json() == unchanged


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
    ({"incident_id": 2_000_000_000}, 404, None),
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
