"""Whom a step reaches, what its actions do, and what happens when it fails."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.models import Escalation
from tests.support.scenario import Opener, Tick, events, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person


def test_actions_assign_and_change_the_status(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    actions = [
        {"type": "assign", "user_id": admin.id, "role": "owner"},
        {"type": "notify", "target": "assignees"},
        {"type": "change_status", "status": "acknowledged"},
    ]
    add_policy(steps=[{"delay_minutes": 0, "actions": actions}, *steps(1)])
    incident = open_incident()
    tick()
    read = admin.on(client).call(f"GET /incidents/{incident['id']}")
    assert (read["status"], read["assigned_to"], read["next_escalation_at"]) == ("acknowledged", admin.id, None)
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]  # its own step changed the status


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("assignees", {"user@example.com"}),
        ("creator", {"user@example.com"}),
        ("admins", {ADMIN}),
        ("all", {ADMIN, "user@example.com", "other@example.com"}),
        ("other@example.com", {"other@example.com"}),
        ("stranger@example.com", {"stranger@example.com"}),
        ("email", {"user@example.com"}),
        (["admins", "creator", "admins"], {ADMIN, "user@example.com"}),
    ],
)
def test_a_target_means_people_at_the_time_of_the_step(
    user: Person,
    sign_up: Callable[..., Person],
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    target: Any,
    expected: set[str],
) -> None:
    sign_up("other@example.com")
    add_policy(steps=steps(0, target=target))
    open_incident(assigned_to=user.id)
    tick()
    assert len(outbox.sent) == len(expected)
    assert {envelope.address for envelope in outbox.sent} == expected


def test_a_policy_that_reaches_nobody_pages_the_admins_at_once(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=steps(0, 30, target="assignees"))
    open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


def test_when_not_even_an_admin_can_be_reached_it_is_said_and_tried_again(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    def switch_mail(is_on: bool) -> None:
        admin.on(client).call("PUT /notification-preferences/me/email", {"enabled": is_on})

    switch_mail(False)
    add_policy()
    incident = open_incident()
    tick()
    assert outbox.sent == []
    assert "nobody_reachable" in timeline(client, incident, admin)
    switch_mail(True)
    clock.advance(minutes=5)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


def test_one_broken_policy_is_quarantined_and_holds_up_no_other(
    client: TestClient,
    admin: Person,
    session: Session,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    broken = add_policy(steps=steps(1))
    add_policy(steps=steps(1))
    incident = open_incident()
    corrupt = text("UPDATE escalation_policy_versions SET steps = '[{\"delay_minutes\": 1}]' WHERE policy_id = :id")
    session.execute(corrupt, {"id": broken["id"]})
    session.commit()
    clock.advance(minutes=1)
    tick()
    assert len(outbox.sent) == 1
    row = session.scalars(select(Escalation).where(Escalation.policy_id == broken["id"])).one()
    assert row.quarantined_at is not None
    assert row.attempts == 1
    assert "escalation_quarantined" in timeline(client, incident, admin)


def test_a_step_that_the_domain_refuses_is_recorded_and_the_next_fires(
    client: TestClient,
    admin: Person,
    sign_up: Callable[..., Person],
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    leaver = sign_up("leaver@example.com")
    add_policy(steps=[{"delay_minutes": 0, "actions": [{"type": "assign", "user_id": leaver.id}]}, *steps(1)])
    admin.on(client).call(f"DELETE /users/{leaver.id}")
    incident = open_incident()
    tick()
    clock.advance(minutes=1)
    tick()
    assert [event["status"] for event in events(client, incident, admin)] == ["failed", "completed"]
    assert len(outbox.sent) == 1


@pytest.mark.parametrize("column", ["steps = '[]'", "conditions = '{\"colour\": 1}'"])
def test_a_stored_policy_that_cannot_begin_is_passed_over(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session, column: str
) -> None:
    malformed = add_policy()
    add_policy()
    session.execute(text(f"UPDATE escalation_policy_versions SET {column} WHERE policy_id = {malformed['id']}"))
    session.commit()
    open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]


@pytest.mark.parametrize("target", ["oncall@example.com", "OnCall@example.com"])
def test_a_deleted_person_is_left_out_by_address_and_the_admins_are_paged(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, on_call: Person, client: TestClient,
    admin: Person, target: str,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=[target]))
    admin.on(client).call(f"DELETE /users/{on_call.id}")
    incident = open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]
    skip = {"recipient": f"user:{on_call.id}", "recipient_name": "On Call", "channel": None, "reason": "not_active"}
    assert events(client, incident, admin)[0]["metadata"]["skipped"] == [skip]


def test_an_address_of_somebody_who_was_deleted_means_whoever_has_it_now(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, on_call: Person, client: TestClient,
    admin: Person, sign_up: Callable[..., Person],
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=on_call.email))
    admin.on(client).call(f"DELETE /users/{on_call.id}")
    successor = sign_up(on_call.email)
    incident = open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [on_call.email]
    found = events(client, incident, admin)[0]["metadata"]
    assert (found["notified"], found["skipped"]) == (
        [{"recipient": f"user:{successor.id}", "recipient_name": "oncall", "channel": "email"}],
        [],
    )


def test_of_several_deleted_accounts_with_an_address_the_last_is_left_out(
    add_policy: Opener, open_incident: Opener, tick: Tick, on_call: Person, client: TestClient, admin: Person,
    sign_up: Callable[..., Person],
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=on_call.email))
    admin.on(client).call(f"DELETE /users/{on_call.id}")
    last = sign_up(on_call.email)
    admin.on(client).call(f"DELETE /users/{last.id}")
    incident = open_incident()
    tick()
    [skip] = events(client, incident, admin)[0]["metadata"]["skipped"]
    assert (skip["recipient"], skip["reason"]) == (f"user:{last.id}", "not_active")


@pytest.mark.parametrize("name", ["id", "email"])
def test_a_deactivated_person_is_left_out_by_name_and_the_admins_are_paged(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, on_call: Person, client: TestClient,
    admin: Person, name: str,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=[getattr(on_call, name)]))
    admin.on(client).call(f"PUT /users/{on_call.id}", {"is_active": False})
    incident = open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]
    skip = {"recipient": f"user:{on_call.id}", "recipient_name": "On Call", "channel": None, "reason": "not_active"}
    assert events(client, incident, admin)[0]["metadata"]["skipped"] == [skip]
