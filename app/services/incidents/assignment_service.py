"""Assigns people to incidents."""

from datetime import datetime

from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud import crud_assignment
from app.models import Incident, IncidentAssignment, User
from app.services import escalation_service
from app.services.contacts.name_service import names_of
from app.services.timeline_service import record

RESPONDER = "responder"


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
    _record(session, assignment, name, at=at, by=by)
    incident.updated_at = at
    session.flush()
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def take_over(
    session: Session, incident: Incident, assignment: IncidentAssignment | None, *, at: datetime, by: User
) -> None:
    """Assign a locked incident to the person who acknowledges it, as its owner if it has none.

    `assignment` is theirs if they are already assigned: they keep their role.
    """
    if assignment is None:
        taken = _new_assignment(session, incident, by.id, RESPONDER, at=at)
        _record(session, taken, by.display_name, at=at, by=by)
    elif incident.assigned_to is None:
        incident.assigned_to = by.id
        changes = {"assigned_to": {"from": None, "to": by.id}}
        said = f"Changed assigned_to. The owner is now {by.display_name}."
        record(session, incident.id, TimelineEventType.UPDATED, said, at=at, by=by, changes=changes)


def _new_assignment(
    session: Session, incident: Incident, user_id: int, role: str, *, at: datetime
) -> IncidentAssignment:
    """Staged. The first assignee owns the incident."""
    if incident.assigned_to is None:
        incident.assigned_to = user_id
    assignment = IncidentAssignment(incident_id=incident.id, user_id=user_id, role=role, assigned_at=at)
    return crud_assignment.stage(session, assignment)


def _record(session: Session, assignment: IncidentAssignment, name: str, *, at: datetime, by: User | None) -> None:
    user_id, role = assignment.user_id, assignment.role
    data = {"user_id_assigned": user_id, "user_name_assigned": name, "role": role}
    happened = TimelineEventType.ASSIGNED
    record(session, assignment.incident_id, happened, f"Assigned {name} as {role}.", at=at, by=by, **data)
