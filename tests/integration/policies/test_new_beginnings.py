"""What a new loop and a new cycle keep of the one before."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.crud import crud_event
from app.models import Escalation, EscalationEvent
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, events, steps, timeline
from tests.support.world import Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def switch(client: TestClient, *people: Person, is_enabled: bool) -> None:
    for person in people:
        for channel in ("email", "sms"):
            put(client, person, channel, enabled=is_enabled)


def test_a_loop_that_reaches_nobody_pages_the_admins_after_one_that_did(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=on_call.id), repeat=1)
    open_incident()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [on_call.email]
    switch(client, on_call, is_enabled=False)
    clock.advance(minutes=5)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [on_call.email, admin.email]


def set_environment(client: TestClient, incident: dict[str, Any], by: Person, environment: str) -> None:
    body = {"metadata": {"env": environment}}
    assert client.put(f"/v1/incidents/{incident['id']}", json=body, headers=by.headers).status_code == 200


def test_a_policy_of_an_earlier_cycle_begins_when_it_matches_again(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(conditions={"metadata.env": "production"})
    incident = open_incident(metadata={"env": "production"})
    tick()
    clock.advance(minutes=10)
    set_environment(client, incident, admin, "test")
    act(client, incident, "resolve", admin)
    act(client, incident, "reopen", admin)
    tick()
    assert len(events(client, incident, admin)) == len(outbox.sent) == 1
    set_environment(client, incident, admin, "production")
    tick()
    assert len(outbox.sent) == 2
    assert [event["cycle"] for event in events(client, incident, admin)] == [1, 2]


def test_a_policy_that_has_begun_in_this_cycle_does_not_begin_again(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(conditions={"metadata.env": "production"})
    incident = open_incident(metadata={"env": "production"})
    tick()
    clock.advance(minutes=10)
    set_environment(client, incident, admin, "test")
    set_environment(client, incident, admin, "production")
    tick()
    assert len(events(client, incident, admin)) == len(outbox.sent) == 1


def test_a_new_cycle_forgets_that_nobody_was_reachable(
    client: TestClient, admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, jobs: Jobs,
) -> None:  # fmt: skip
    switch(client, on_call, admin, is_enabled=False)
    add_policy(steps=steps(2, target=on_call.id))
    incident = open_incident()
    clock.advance(minutes=2)
    tick()
    assert "nobody_reachable" in timeline(client, incident, admin)
    assert not jobs.is_well()
    act(client, incident, "acknowledge", admin)
    act(client, incident, "reopen", admin)
    assert jobs.is_well()


def test_a_step_whose_event_is_there_fires_no_second_time(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox, session: Session
) -> None:
    add_policy(steps=steps(0, 60))
    open_incident()
    tick()
    clock.advance(minutes=10)
    session.execute(text("UPDATE escalations SET step = 0, next_run_at = now()"))
    session.commit()
    tick()
    assert len(outbox.sent) == 1
    session.expire_all()
    [row] = session.scalars(select(Escalation))
    assert row.quarantined_at is not None
    assert "uq_escalation_events" in (row.last_error or "")


@pytest.mark.parametrize("name", ["cycle", "loop", "step"])
def test_events_differ_in_cycle_loop_or_step(
    add_policy: Opener, open_incident: Opener, tick: Tick, session: Session, name: str
) -> None:
    add_policy()
    open_incident()
    tick()
    [event] = session.scalars(select(EscalationEvent))
    columns = ("incident_id", "policy_id", "cycle", "loop", "step", "status")
    same = {column: getattr(event, column) for column in columns}
    crud_event.add(session, EscalationEvent(**{**same, name: same[name] + 1}))
    with pytest.raises(IntegrityError):
        crud_event.add(session, EscalationEvent(**same))
