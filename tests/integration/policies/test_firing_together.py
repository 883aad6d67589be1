"""Steps that only page fire together: what is written is the same, with few statements, and a failure stays alone."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.crud import crud_escalation
from app.crud.clock import now
from app.services.policies import firing_service, step_service
from app.services.policies.situation import Context, Situation
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, events, notify, steps, timeline
from tests.support.statements import statements
from tests.support.world import Clock, Outbox, Person

SignUp = Callable[..., Person]
WRITTEN = [
    """SELECT to_jsonb(n) - ARRAY['id', 'idempotency_key', 'event_id']
           || jsonb_build_object('event', (SELECT to_jsonb(e) - 'id' FROM escalation_events e WHERE e.id = n.event_id))
       FROM notifications n ORDER BY incident_id, id""",
    "SELECT to_jsonb(e) - 'id' FROM escalation_events e ORDER BY incident_id, id",
    "SELECT to_jsonb(t) - 'id' FROM timeline_events t ORDER BY incident_id, id",
    "SELECT to_jsonb(e) FROM escalations e ORDER BY id",
    "SELECT to_jsonb(i) FROM incidents i ORDER BY id",
]


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def written(session: Session) -> list[list[Any]]:
    """What steps write, by table, without the ids that a second run would count on."""
    return [[*session.scalars(text(query))] for query in WRITTEN]


def fire_together(session: Session, services: Services) -> None:
    step_service.run_due(session, services.paging, limit=100)


def fire_each_alone(session: Session, services: Services) -> None:
    at = now(session)
    for row, incident in crud_escalation.claim_due(session, at=at, limit=100):
        situation = Situation(session=session, incident=incident, paging=services.paging, at=at)
        firing_service.fire(situation, row)


def outcome_of(session: Session, services: Services, way: Callable[[Session, Services], None]) -> list[list[Any]]:
    """What is written if the due steps fire this way. It is undone."""
    with session.begin_nested() as undone:
        way(session, services)
        session.flush()
        found = written(session)
        undone.rollback()
    session.expire_all()
    return found


@pytest.fixture
def varied(
    client: TestClient, admin: Person, on_call: Person, sign_up: SignUp, add_policy: Opener, open_incident: Opener
) -> list[dict[str, Any]]:
    """Incidents by policies of every kind, all of whose first steps are due."""
    put(client, on_call, "email", position=1, quiet_severities=["low"])
    put(client, on_call, "sms", position=2)
    muted, gone = sign_up("muted@example.com"), sign_up("gone@example.com")
    put(client, muted, "email", is_enabled=False)
    everybody = [on_call.id, "admins", "stranger@example.com", "assignees", "creator", "all", "sms", muted.email]
    acknowledging = {"type": "change_status", "status": "acknowledged"}
    assigning = {"type": "assign", "user_id": on_call.id}
    plans: list[tuple[list[Any], dict[str, Any]]] = [
        (steps(0, 1, 2, target=on_call.id), {}),
        (steps(0, 1, target=everybody, message="Look at this.", channels=["sms", "email"]), {}),
        (steps(0, 1, target=everybody, channels=["email"]), {"repeat": 1}),
        (steps(0, 1, target=muted.id), {}),
        (steps(0, 1, target=[gone.id, gone.email]), {"repeat": 1}),
        (steps(0, 2, target="assignees"), {}),
        (steps(0, 1, target="sms"), {"repeat": 2}),
        ([{"delay_minutes": 0, "actions": [notify(message="First."), notify(target=on_call.id)]}, *steps(1)], {}),
        ([{"delay_minutes": 0, "actions": [notify(), acknowledging]}, *steps(1)], {}),
        ([{"delay_minutes": 0, "actions": [acknowledging]}, *steps(1)], {}),
        ([{"delay_minutes": 0, "actions": [assigning, notify(target="assignees")]}, *steps(1)], {}),
        ([{"delay_minutes": 0, "actions": [{"type": "set_severity", "severity": "low"}]}, *steps(1)], {}),
    ]
    for number, (of, fields) in enumerate(plans):
        add_policy(name=f"policy {number}", steps=of, conditions={"service": f"service {number}"}, **fields)
    add_policy(name="also", steps=steps(0, 1, target=on_call.id), conditions={"service": "service 0"})
    admin.on(client).call(f"DELETE /users/{gone.id}")
    services = [f"service {number}" for number in range(len(plans))]
    opened = [open_incident(service=service, assigned_to=on_call.id) for service in services[::2]]
    return opened + [open_incident(service=service, severity="low") for service in services]


def test_steps_that_fire_together_write_what_each_would_alone(
    varied: list[dict[str, Any]], session: Session, services: Services, clock: Clock, jobs: Jobs
) -> None:
    fired, found = 0, ""
    for minutes in (0, 1, 1, 5, 5, 5):
        clock.advance(minutes=minutes)
        together = outcome_of(session, services, fire_together)
        alone = outcome_of(session, services, fire_each_alone)
        for one, other in zip(together, alone, strict=True):
            assert one == other
        jobs.plan()
        fired, found = fired + len(together[1]), found + str(together)
        if minutes == 5:
            jobs.send()
    assert fired > 3 * len(varied)
    for told in ("quiet", "no_active_person", "no policy reaches anybody", "Look at this.", "before anybody"):
        assert told in found, told


def count_of_firing(services: Services, open_incident: Opener, number: int) -> int:
    """How many statements it takes to fire so many steps."""
    for _ in range(number):
        open_incident()
    with services.database.transaction() as session, statements(services.database) as seen:
        assert step_service.run_due(session, services.paging, limit=100) == number
    return len(seen)


def test_many_steps_take_as_many_statements_as_few(
    services: Services, session: Session, add_policy: Opener, open_incident: Opener, on_call: Person
) -> None:
    add_policy(steps=steps(0, 5, target=[on_call.id, "admins"]))
    few, many = (count_of_firing(services, open_incident, number) for number in (10, 50))
    assert few == many
    assert session.scalar(text("SELECT count(*) FROM notifications")) == 2 * 60


def test_what_the_actions_of_a_step_did_comes_before_the_step_in_the_timeline(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    actions = [notify(), {"type": "assign", "user_id": admin.id}, {"type": "change_status", "status": "acknowledged"}]
    add_policy(steps=[{"delay_minutes": 0, "actions": actions}])
    incident = open_incident()
    tick()
    told = timeline(client, incident, admin)[::-1]
    assert told.index("assigned") < told.index("acknowledged") < told.index("escalation_step")


def test_a_page_joins_an_unsent_page_of_its_cycle_and_of_no_other(
    client: TestClient, user: Person, jobs: Jobs, session: Session, add_policy: Opener, open_incident: Opener,
    clock: Clock, outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, 1))
    incidents = [open_incident(), open_incident()]
    jobs.plan()
    clock.advance(minutes=1)
    act(client, incidents[1], "resolve", user)
    act(client, incidents[1], "reopen", user)
    jobs.plan()
    pages = session.execute(text("SELECT incident_id, cycle FROM notifications ORDER BY id")).all()
    first, second = incidents[0]["id"], incidents[1]["id"]
    assert pages == [(first, 1), (second, 1), (second, 2)]
    assert len(events(client, incidents[0], user)) == 2


def test_a_slow_batch_fires_its_first_steps_and_the_rest_stays_due(
    session: Session, services: Services, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy()
    incidents = [open_incident()["id"] for _ in range(3)]
    due = crud_escalation.claim_due(session, at=now(session), limit=100)
    about: dict[str, Any] = {"session": session, "paging": services.paging, "at": now(session)}
    contexts = [Context(incident=incident, escalation=row, **about) for row, incident in due]
    assert firing_service.fire_each(contexts, within=0) == 1
    assert step_service.run_due(session, services.paging, limit=100) == 2
    fired = session.scalars(text("SELECT incident_id FROM escalation_events ORDER BY id")).all()
    assert fired == incidents
