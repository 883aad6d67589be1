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
        assignment = IncidentAssignment(incident_id=incident.id, user_id=user_id, role=role, assigned_at=at)
        crud_assignment.stage(session, assignment)
    assignment.role = role
    if incident.assigned_to is None:
        incident.assigned_to = user_id
    incident.updated_at = at
    name = names_of(session, {user_id}).get(user_id)
    description = f"Assigned {name or f'user {user_id}'} as {role}."
    data = {"user_id_assigned": user_id, "user_name_assigned": name, "role": role}
    record(session, incident.id, TimelineEventType.ASSIGNED, description, at=at, by=by, **data)
    session.flush()
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def take_over(session: Session, incident: Incident, *, at: datetime, by: User) -> None:
    """Assign a locked incident to the person who acknowledges it, as its owner if it has none.

    Somebody already assigned keeps their role.
    """
    assignment = crud_assignment.of_user(session, incident.id, by.id)
    if assignment is None:
        put_assignment(session, incident, by.id, RESPONDER, at=at, by=by)
    elif incident.assigned_to is None:
        incident.assigned_to = by.id
        changes = {"assigned_to": {"from": None, "to": by.id}}
        said = f"Changed assigned_to. The owner is now {by.display_name}."
        record(session, incident.id, TimelineEventType.UPDATED, said, at=at, by=by, changes=changes)
