"""Acknowledging and resolving write for many at once what the same move writes for one."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud import crud_user
from app.crud.clock import now
from app.crud.crud_response import LockedIncident, crud_response
from app.models import Escalation, Incident, User
from app.schemas.incident import ActionNote
from app.services import escalation_service, escalation_state
from app.services.asked import Asked
from app.services.escalation_state import Progress, Stopped
from app.services.incidents import response_service
from app.services.incidents.response_service import Action
from tests.support.api import Api
from tests.support.world import Person

POLICY = {"name": "everything", "steps": [{"delay_minutes": 5, "actions": [{"type": "notify", "target": "admins"}]}]}
WAY_TO = {
    "open": [],
    "acknowledged": ["acknowledge"],
    "snoozed": ["snooze?hours=1"],
    "acknowledged, then snoozed": ["acknowledge", "snooze?hours=1"],
    "reopened": ["resolve", "reopen"],
    "resolved": ["resolve"],
}
MOVES = {"acknowledge": "acknowledged", "resolve": "resolved"}
OTHER_EACH_TIME = {
    "id",
    "created_at",
    "updated_at",
    "acknowledged_at",
    "resolved_at",
    "incident_id",
    "instance",
    "request_id",
}


@pytest.fixture
def api(client: TestClient, admin: Person, user: Person) -> Api:
    Api(client, admin.headers).call("POST /escalation/policies", POLICY, wants=201)
    return Api(client, user.headers)


@pytest.fixture
def person(session: Session, api: Api) -> User:
    found = crud_user.get(session, api.call("GET /users/me")["id"])
    assert found is not None
    return found


def comparable(value: Any) -> Any:
    """A part of an answer without what differs from one incident to the next."""
    if isinstance(value, dict):
        kept = {name: comparable(of) for name, of in value.items() if name not in OTHER_EACH_TIME}
        return kept | {name: value[name] is None for name in ("acknowledged_at", "resolved_at") if name in value}
    return [comparable(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("is_assigned", [False, True])
@pytest.mark.parametrize("is_owned", [False, True])
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("state", WAY_TO)
def test_a_response_records_what_a_change_of_status_records(
    api: Api, admin: Person, state: str, move: str, is_owned: bool, is_assigned: bool
) -> None:
    """A change of status is a move of one incident."""
    me, other = api.call("GET /users/me")["id"], Api(api.client, admin.headers).call("GET /users/me")["id"]

    def bring() -> int:
        id_: int = api.open()["id"]
        for action in WAY_TO[state]:
            api.call(f"POST /incidents/{id_}/{action}")
        if is_assigned:
            api.call(f"POST /incidents/{id_}/assign", {"user_id": me, "role": "lead"})
        api.call(f"PUT /incidents/{id_}", {"assigned_to": other if is_owned else None})
        return id_

    one, alike = bring(), bring()
    responded = api.send(f"POST /incidents/{one}/{move}")
    changed = api.send(f"PUT /incidents/{alike}", {"status": MOVES[move]})
    assert responded.status_code == changed.status_code
    assert comparable(responded.json()) == comparable(changed.json())
    assert comparable(api.incident(one)) == comparable(api.incident(alike))


def test_the_answer_to_a_response_is_the_incident_as_it_is_stored(api: Api) -> None:
    id_ = api.open(metadata={"disk": 3}, description="97 %")["id"]
    for action in ("acknowledge", "acknowledge", "resolve", "resolve"):
        answer = api.call(f"POST /incidents/{id_}/{action}")
        stored = api.incident(id_)
        assert {name: stored[name] for name in answer} == answer


@pytest.mark.parametrize("state", EscalationState)
def test_the_statement_stops_escalations_as_the_decider_says(
    api: Api, session: Session, state: EscalationState
) -> None:
    id_ = api.open()["id"]
    row = session.scalars(select(Escalation).where(Escalation.incident_id == id_)).one()
    row.state, row.loop, row.step, row.attempts = state, 2, 1, 3
    row.next_run_at = now(session) + timedelta(minutes=5) if state is EscalationState.RUNNING else None
    session.flush()
    expected = escalation_state.transition(escalation_service.progress_of(row), Stopped())
    held = crud_response.lock(session, [id_], waits=True)
    crud_response.write(session, held.values(), assignments=[], entries=[])
    session.expire_all()
    found = session.scalars(select(Escalation).where(Escalation.incident_id == id_)).one()
    assert {field.name: getattr(found, field.name) for field in fields(Progress)} == {
        field.name: getattr(expected, field.name) for field in fields(Progress)
    }


def test_the_statement_leaves_other_incidents_alone(api: Api, session: Session) -> None:
    mine, other = api.open()["id"], api.open()["id"]
    held = crud_response.lock(session, [mine], waits=True)
    crud_response.write(session, held.values(), assignments=[], entries=[])
    running = select(Escalation.incident_id).where(Escalation.state == EscalationState.RUNNING)
    assert other in session.scalars(running).all()
    assert mine not in session.scalars(running).all()


def test_two_people_who_acknowledge_together_are_both_told_the_same(
    session: Session, api: Api, person: User, admin: Person
) -> None:
    id_ = api.open()["id"]
    other = session.scalars(select(User).where(User.id != person.id)).first()
    assert other is not None
    asked: list[Asked[Action]] = [Asked(person, (id_, None)), Asked(other, (id_, ActionNote(comment="Me too.")))]
    first, second = response_service.acknowledge_each(session, asked, waits=False)
    assert first is second
    record = [event["event_type"] for event in api.timeline(id_)]
    assert record == ["commented", "acknowledged", "assigned", "escalation_started", "created"]


def test_a_comment_with_a_response_that_changes_nothing_counts_as_a_change(
    session: Session, api: Api, person: User, clock: Any
) -> None:
    id_ = api.open()["id"]
    before = api.call(f"POST /incidents/{id_}/acknowledge")
    clock.advance(minutes=1)
    after = api.call(f"POST /incidents/{id_}/acknowledge", {"comment": "Still on it."})
    assert after["updated_at"] > before["updated_at"]
    assert api.incident(id_)["updated_at"] == after["updated_at"]


def test_an_acknowledged_incident_that_is_escalated_by_hand_says_when(api: Api) -> None:
    id_ = api.open()["id"]
    api.call(f"POST /incidents/{id_}/acknowledge")
    api.call(f"POST /incidents/{id_}/escalate")
    due_at = api.incident(id_)["next_escalation_at"]
    assert api.call(f"POST /incidents/{id_}/acknowledge")["next_escalation_at"] == due_at


def test_an_incident_that_does_not_exist_takes_no_other_with_it(session: Session, api: Api, person: User) -> None:
    id_ = api.open()["id"]
    asked: list[Asked[Action]] = [Asked(person, (of, None)) for of in (id_, id_ + 1)]
    found, missing = response_service.resolve_each(session, asked, waits=False)
    assert isinstance(found, LockedIncident)
    assert str(missing) == f"There is no incident {id_ + 1}."
    assert session.scalars(select(Incident.status).where(Incident.id == id_)).one() is IncidentStatus.RESOLVED
