"""A preview announces what then happens: the same people, by the same channels, at the same times."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.utils.service_locator import Services
from tests.support.preferences import at_noon, put
from tests.support.previews import Page, announced, assign, preview, severity, skipped, status, step
from tests.support.scenario import Opener, Tick, events, notify, steps
from tests.support.world import Clock, Person

LAST_MINUTE = 20.0  # of what is compared


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def other(sign_up: Callable[..., Person]) -> Person:
    """Somebody without a phone."""
    return sign_up("other@example.com")


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
    put(client, on_call, "sms", position=1, quiet_severities=["low"])
    hours = {"from": "12:10", "until": "12:15", "time_zone": "UTC"}
    put(client, on_call, "email", quiet_severities=["high"], quiet_hours=hours)
    put(client, admin, "sms", address="+15550111", enabled=False)
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
    admin.on(client).call(f"PUT /users/{other.id}", {"is_active": False})
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    assert announced(found) == {(f"user:{on_call.id}", "email", 0.0)} == run(open_incident())


def test_quiet_channels_and_disabled_ones_are_announced_too(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, run: Run
) -> None:
    """The first step reaches nobody, so the second comes at once; it neither, and the administrators are paged."""
    put(client, on_call, "sms", enabled=False)
    put(client, on_call, "email", quiet_severities=["high"])
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
    put(client, admin, "email", enabled=False)
    add_policy()
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    [policy] = found["policies"]
    assert (found["is_anybody_paged"], policy["reaches_nobody"]) == (False, True)
    assert [person["skipped"] for person in policy["then_paged"]] == ["disabled_by_recipient", "no_address"]
    assert run(open_incident()) == set()
