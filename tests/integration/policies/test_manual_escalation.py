"""Escalating by hand."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, events, notify, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person


def test_escalating_by_hand_fires_the_next_step_and_continues_from_there(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy(steps=steps(10, 15))
    incident = open_incident()
    act(client, incident, "escalate", admin)
    tick()
    assert len(outbox.sent) == 1
    clock.advance(minutes=5)
    tick()
    assert [event["step"] for event in events(client, incident, admin)] == [0, 1]


def test_escalating_by_hand_twice_within_ten_seconds_pages_once(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy(steps=steps(10, 15, 20))
    incident = open_incident()
    act(client, incident, "escalate", admin)
    act(client, incident, "escalate", admin)
    tick()
    assert len(outbox.sent) == 1
    clock.advance(seconds=10)
    act(client, incident, "escalate", admin)
    tick()
    assert len(outbox.sent) == 2


def test_escalating_by_hand_without_a_policy_pages_the_admins(
    client: TestClient, user: Person, admin: Person, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    act(client, open_incident(), "escalate", user)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


def test_escalating_an_acknowledged_incident_pages_and_keeps_its_status(
    client: TestClient,
    user: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy(steps=steps(10, 15))
    incident = open_incident()
    act(client, incident, "acknowledge", user)
    moved = act(client, incident, "escalate", user)
    clock.advance(hours=1)
    tick()
    assert (moved["status"], moved["next_escalation_at"]) == ("acknowledged", None)
    assert len(outbox.sent) == 1


def test_escalating_a_snoozed_incident_pages_and_ends_the_snooze(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=steps(10))
    incident = open_incident()
    act(client, incident, "snooze", user, hours=1)
    moved = act(client, incident, "escalate", user)
    tick()
    assert (moved["status"], moved["snoozed_until"]) == ("open", None)
    assert len(outbox.sent) == 1


def test_escalating_a_resolved_incident_changes_nothing(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=steps(10))
    incident = open_incident()
    resolved = act(client, incident, "resolve", user)
    assert act(client, incident, "escalate", user) == resolved
    tick()
    assert outbox.sent == []


def test_a_finished_escalation_starts_a_new_loop_by_hand(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy()
    incident = open_incident()
    tick()
    act(client, incident, "escalate", admin)
    tick()
    assert [(event["loop"], event["step"]) for event in events(client, incident, admin)] == [(0, 0), (1, 0)]
    assert len(outbox.sent) == 2


def test_only_admins_creator_and_assignees_may_escalate_or_see_the_events(
    client: TestClient, user: Person, sign_up: Callable[..., Person], open_incident: Opener
) -> None:
    incident = open_incident()
    stranger = sign_up("stranger@example.com")
    routes = [("post", "escalate"), ("get", "escalation-events")]
    for prefix in (f"/v1/incidents/{incident['id']}", f"/v1/escalation/incidents/{incident['id']}"):
        for method, action in routes:
            assert client.request(method, f"{prefix}/{action}", headers=stranger.headers).status_code == 403
            assert client.request(method, f"{prefix}/{action}", headers=user.headers).status_code == 200
    user.on(client).call(f"POST /incidents/{incident['id']}/assign", {"user_id": stranger.id})
    stranger.on(client).call(f"GET /incidents/{incident['id']}/escalation-events")


def test_ending_a_snooze_by_hand_fires_no_policy_that_no_longer_matches(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    policy = add_policy(steps=steps(10, target="creator"), conditions={"severity": "low"})
    incident = open_incident(severity="low")
    act(client, incident, "snooze", user, hours=1)
    change = {"conditions": {"severity": "critical"}}
    assert admin.on(client).send(f"PUT /escalation/policies/{policy['id']}", change).status_code == 200
    act(client, incident, "escalate", user)
    tick()
    assert events(client, incident, admin) == []
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


def test_escalating_an_acknowledged_incident_fires_a_policy_added_since(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener
) -> None:
    incident = open_incident()
    act(client, incident, "acknowledge", user)
    add_policy(steps=steps(10, target="creator"))
    assert act(client, incident, "escalate", user)["status"] == "acknowledged"
    [event] = events(client, incident, admin)
    assert event["metadata"]["notified"] == [
        {"recipient": f"user:{user.id}", "recipient_name": "user", "channel": "email"}
    ]


def test_escalating_an_acknowledged_incident_skips_what_no_longer_matches(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=steps(10, target="creator"), conditions={"severity": "low"})
    incident = open_incident(severity="low")
    act(client, incident, "acknowledge", user)
    user.on(client).call(f"PUT /incidents/{incident['id']}", {"severity": "critical"})
    act(client, incident, "escalate", user)
    tick()
    assert events(client, incident, admin) == []
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


def test_escalating_by_hand_continues_a_policy_for_unassigned_incidents(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(steps=steps(0, 15), conditions={"assigned": False})
    incident = open_incident()
    tick()
    user.on(client).call(f"POST /incidents/{incident['id']}/assign", {"user_id": user.id})
    act(client, incident, "escalate", user)
    assert [event["step"] for event in events(client, incident, admin)] == [0, 1]


ACKNOWLEDGE = {"type": "change_status", "status": "acknowledged"}


def test_escalating_by_hand_goes_on_behind_a_step_that_acknowledged(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    [first, second] = steps(0, 15)
    add_policy(steps=[{**first, "actions": [*first["actions"], ACKNOWLEDGE]}, second])
    incident = open_incident()
    tick()
    assert act(client, incident, "escalate", admin)["status"] == "acknowledged"
    assert [(event["loop"], event["step"]) for event in events(client, incident, admin)] == [(0, 0), (0, 1)]


def test_escalating_an_acknowledged_incident_passes_steps_reaching_nobody(
    client: TestClient, user: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=steps(10, 20, target="assignees"))
    incident = open_incident()
    act(client, incident, "acknowledge", user)
    user.on(client).call(f"DELETE /incidents/{incident['id']}/assign/{user.id}")
    act(client, incident, "escalate", user)
    tick()
    assert [event["step"] for event in events(client, incident, admin)] == [0, 1]
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]  # whom nothing cancels: somebody asked for it


def test_escalating_by_hand_says_so_if_nobody_can_be_reached(
    client: TestClient, user: Person, admin: Person, open_incident: Opener
) -> None:
    put(client, admin, "email", enabled=False)
    incident = open_incident()
    act(client, incident, "escalate", user)
    assert "nobody_reachable" in timeline(client, incident, admin)


@pytest.mark.parametrize("others", [0, 1])
def test_a_failing_step_keeps_no_other_policy_from_escalating_by_hand(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox,
    session: Session, others: int,
) -> None:  # fmt: skip
    broken = add_policy(steps=steps(10))
    for _ in range(others):
        add_policy(steps=steps(10, target="creator"))
    incident = open_incident()
    session.execute(
        text("UPDATE escalation_policy_versions SET steps = '[{\"delay_minutes\": 0}]' WHERE policy_id = :id"),
        {"id": broken["id"]},
    )
    session.commit()
    act(client, incident, "escalate", user)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [user.email if others else ADMIN]
    assert "escalation_quarantined" in timeline(client, incident, user)


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ({"type": "set_severity", "severity": "low"}, "open"),
        ({"type": "change_status", "status": "resolved"}, "resolved"),
    ],
)
@pytest.mark.parametrize("is_by_hand", [True, False])
def test_what_a_step_ends_is_not_fired_behind_it(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox,
    clock: Clock, is_by_hand: bool, action: dict[str, str], status: str,
) -> None:  # fmt: skip
    for actions in ([action], [notify()]):
        add_policy(steps=[{"delay_minutes": 1, "actions": actions}], conditions={"severity": "high"})
    incident = open_incident()
    if is_by_hand:
        act(client, incident, "escalate", admin)
    clock.advance(minutes=1)
    tick()
    assert admin.on(client).call(f"GET /incidents/{incident['id']}")["status"] == status
    assert len(events(client, incident, admin)) == 1
    assert ["before anybody had received a page" in envelope.body for envelope in outbox.sent] == [True] * (
        status == "resolved"
    )


def test_a_step_fires_as_the_version_that_it_began_with_has_it(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    reopen = {"type": "change_status", "status": "open"}
    policy = add_policy(steps=[{"delay_minutes": 5, "actions": [reopen, notify()]}])
    incident = open_incident()
    tick()
    act(client, incident, "acknowledge", admin)
    newer = {"steps": steps(0, target=on_call.id)}
    assert admin.on(client).send(f"PUT /escalation/policies/{policy['id']}", newer).status_code == 200
    act(client, incident, "escalate", admin)
    tick()
    tick()
    assert sorted(envelope.address for envelope in outbox.sent) == [ADMIN, on_call.email]


def test_a_step_after_one_that_reached_nobody_is_fired_by_hand_as_well(
    client: TestClient, admin: Person, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    put(client, user, "email", quiet_severities=["high"])
    second = {"delay_minutes": 60, "actions": [notify(target=user.id)]}
    add_policy(steps=[*steps(5, target="assignees"), second])
    incident = open_incident(severity="high")
    act(client, incident, "escalate", admin)
    tick()
    assert [(envelope.address, envelope.kind) for envelope in outbox.sent] == [(user.email, "manual_page")]
