"""Assigns people to incidents."""

from datetime import datetime

from sqlalchemy.orm import Session

from app.crud import crud_assignment
from app.models import Incident, IncidentAssignment, User
from app.services import escalation_service
from app.services.contacts.name_service import names_of
from app.services.incidents.move_record import RESPONDER, entry_of_assignment, taking
from app.services.timeline_service import record


def put_assignment(
    session: Session, incident: Incident, user_id: int, role: str, *, at: datetime, by: User | None
) -> IncidentAssignment:
    """Assign a user to a locked incident, or change their role. The first assignee owns it."""
    assignment = crud_assignment.of_user(session, incident.id, user_id)
    if assignment is not None and assignment.role == role:
        return assignment
    if assignment is None:
        assignment = _new_assignment(session, incident, user_id, role, at=at)
    assignment.role = role
    name = names_of(session, {user_id}).get(user_id) or f"user {user_id}"
    said = entry_of_assignment(user_id, name, role)
    record(session, incident.id, said.event_type, said.description, at=at, by=by, **said.data)
    incident.updated_at = at
    session.flush()
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def take_over(session: Session, incident: Incident, *, is_assigned: bool, at: datetime, by: User) -> None:
    """Assign a locked incident to the person who acknowledges it. They keep the role that they have."""
    taken = taking(by.id, by.display_name, owner_id=incident.assigned_to, is_assigned=is_assigned)
    if taken.is_new_assignee:
        _new_assignment(session, incident, by.id, RESPONDER, at=at)
    incident.assigned_to = taken.owner_id
    if taken.entry is not None:
        said = taken.entry
        record(session, incident.id, said.event_type, said.description, at=at, by=by, **said.data)


def _new_assignment(
    session: Session, incident: Incident, user_id: int, role: str, *, at: datetime
) -> IncidentAssignment:
    """Staged. The first assignee owns the incident."""
    if incident.assigned_to is None:
        incident.assigned_to = user_id
    assignment = IncidentAssignment(incident_id=incident.id, user_id=user_id, role=role, assigned_at=at)
    return crud_assignment.stage(session, assignment)
