"""What a policy that appears, changes or goes away does to the incidents that are open."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.crud.clock import now
from app.models import EscalationPolicy
from app.services.policies import rollout_service
from tests.support.scenario import Opener, Tick, act, events, steps, timeline
from tests.support.world import Clock, Outbox, Person


def test_a_new_policy_begins_with_the_incidents_that_are_open_already(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    acknowledged, still_open = open_incident(), open_incident()
    act(client, acknowledged, "acknowledge", user)
    add_policy()
    tick()
    assert [envelope.incident_id for envelope in outbox.sent] == [still_open["id"]]


def test_a_policy_reaches_more_open_incidents_than_fit_into_a_batch(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session
) -> None:
    incidents = [open_incident()["id"] for _ in range(5)]
    policy = session.get_one(EscalationPolicy, add_policy(is_active=False)["id"])
    policy.is_active = True
    rollout_service.start(session, policy, at=now(session), batch=2)
    assert sum(iter(lambda: rollout_service.advance(session, set(), batch=2), 0)) == 3
    session.commit()
    tick()
    [bundle] = outbox.sent
    assert [page.incident.id for page in bundle.pages] == incidents


@pytest.mark.parametrize("how", ["off", "deleted"])
def test_a_policy_that_goes_away_ends_its_escalations_and_says_so(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
    how: str,
) -> None:
    policy = add_policy(steps=steps(5))
    incident = open_incident()
    address = f"/v1/escalation/policies/{policy['id']}"
    if how == "off":
        client.put(address, json={"is_active": False}, headers=admin.headers)
    else:
        client.delete(address, headers=admin.headers)
    clock.advance(minutes=10)
    tick()
    assert outbox.sent == []
    assert "escalation_ended" in timeline(client, incident, admin)


def test_a_policy_switched_on_again_begins_a_new_loop(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    clock: Clock,
) -> None:
    policy = add_policy()
    incident = open_incident()
    tick()
    clock.advance(seconds=30)
    for is_active in (False, True):
        admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", {"is_active": is_active})
    tick()
    assert len(outbox.sent) == 2
    assert [event["loop"] for event in events(client, incident, admin)] == [0, 1]


def test_a_running_escalation_keeps_the_steps_it_began_with(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    policy = add_policy(steps=steps(5, message="as it was"))
    open_incident()
    changed = {"steps": steps(0, message="as it is now")}
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", changed)
    tick()
    assert outbox.sent == []
    clock.advance(minutes=5)
    tick()
    assert "as it was" in outbox.sent[0].body


def test_a_change_of_severity_begins_what_matches_and_ends_the_rest(
    client: TestClient,
    user: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy(conditions={"severity": "high"}, steps=steps(5, message="for high"))
    add_policy(conditions={"severity": "critical"}, steps=steps(5, message="for critical"))
    incident = open_incident()
    user.on(client).call(f"PATCH /incidents/{incident['id']}", {"severity": "critical"})
    clock.advance(minutes=5)
    tick()
    assert ["for critical" in envelope.body for envelope in outbox.sent] == [True]


def test_a_policy_done_in_an_earlier_cycle_begins_when_it_matches_again(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=steps(0), conditions={"severity": "high"})
    incident = open_incident(severity="high")
    tick()
    act(client, incident, "resolve", user)
    address = f"/v1/incidents/{incident['id']}"
    client.put(address, json={"severity": "low"}, headers=user.headers)
    act(client, incident, "reopen", user)
    clock.advance(minutes=1)
    tick()
    assert len(outbox.sent) == 1
    client.put(address, json={"severity": "high"}, headers=user.headers)
    tick()
    assert len(outbox.sent) == 2


def test_a_running_escalation_goes_by_the_conditions_it_began_with(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox,
) -> None:  # fmt: skip
    policy = add_policy(conditions={"service": "database"}, steps=steps(0, 10))
    incident = open_incident(service="database")
    tick()
    edited = {"conditions": {"service": "elsewhere"}}
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", edited)
    admin.on(client).call(f"PUT /incidents/{incident['id']}", {"severity": "critical"})
    clock.advance(minutes=10)
    tick()
    assert len(outbox.sent) == 2


@pytest.mark.parametrize("is_edited", [False, True])
def test_what_matches_no_longer_as_it_began_ends(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, is_edited: bool
) -> None:
    policy = add_policy(conditions={"service": "database"}, steps=steps(5))
    incident = open_incident(service="database")
    if is_edited:
        edited = {"conditions": {"service": "elsewhere"}}
        admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", edited)
    admin.on(client).call(f"PUT /incidents/{incident['id']}", {"service": "web"})
    assert "escalation_ended" in timeline(client, incident, admin)


@pytest.mark.parametrize("delay", [0, 10], ids=["finished", "running"])
def test_a_policy_that_matches_only_as_it_was_edited_begins_anew(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox, delay: float,
) -> None:  # fmt: skip
    policy = add_policy(conditions={"severity": "high"}, steps=steps(delay))
    incident = open_incident(severity="high")
    tick()
    outbox.sent.clear()
    clock.advance(minutes=1)
    edited = {"conditions": {"severity": "critical"}, "steps": steps(0)}
    admin.on(client).call(f"PUT /escalation/policies/{policy['id']}", edited)
    admin.on(client).call(f"PUT /incidents/{incident['id']}", {"severity": "critical"})
    tick()
    assert [envelope.kind for envelope in outbox.sent] == ["page"]
    assert timeline(client, incident, admin).count("escalation_started") == 2


@pytest.mark.parametrize(
    ("conditions", "change"),
    [
        ({"metadata.env": "prod"}, {"metadata": {"env": "prod"}}),
        ({"assigned": True}, {"assigned_to": None}),
        ({"assigned": True}, {"user_id": None}),
    ],
    ids=["metadata", "owner", "assignment"],
)
def test_what_comes_to_match_an_open_incident_begins(
    client: TestClient, admin: Person, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox, conditions: dict[str, Any], change: dict[str, Any],
) -> None:  # fmt: skip
    add_policy(conditions=conditions)
    incident = open_incident()
    tick()
    assert outbox.sent == []
    body = {name: user.id if value is None else value for name, value in change.items()}
    address = f"/v1/incidents/{incident['id']}"
    if "user_id" in body:
        answer = client.post(f"{address}/assign", json=body, headers=admin.headers)
    else:
        answer = client.patch(address, json=body, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    tick()
    assert [envelope.address for envelope in outbox.sent] == [admin.email]
    client.patch(address, json={"metadata": {"env": "test"}}, headers=admin.headers)
    assert "escalation_ended" not in timeline(client, incident, admin)


def test_whom_a_policy_assigns_does_not_end_it(
    client: TestClient, admin: Person, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox,
) -> None:  # fmt: skip
    first = {"delay_minutes": 0, "actions": [{"type": "assign", "user_id": user.id}]}
    add_policy(conditions={"assigned": False}, steps=[first, *steps(10)])
    incident = open_incident()
    tick()
    admin.on(client).call(f"PATCH /incidents/{incident['id']}", {"severity": "critical"})
    clock.advance(minutes=10)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [admin.email]


def test_an_escalation_ended_with_its_policy_does_not_blame_the_conditions(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, session: Session
) -> None:
    """The switch-off has not come to the incident yet, and something else about that changes."""
    add_policy(steps=steps(5))
    incident = open_incident()
    session.execute(text("UPDATE escalation_policies SET is_active = false, spread_after = 0"))
    session.commit()
    change = {"severity": "low"}
    assert admin.on(client).send(f"PUT /incidents/{incident['id']}", change).status_code == 200
    entries = admin.on(client).call(f"GET /incidents/{incident['id']}/timeline")
    [ended] = [entry["description"] for entry in entries if entry["event_type"] == "escalation_ended"]
    assert ended.endswith(" ended: the policy is off.")
