"""Who works on an incident, and what they write about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, NotFound, PermissionDenied
from app.core.vocabulary import TimelineEventType
from app.crud import crud_assignment, crud_comment, crud_timeline
from app.crud.clock import now
from app.crud.pagination import Slice
from app.models import Incident, IncidentAssignment, IncidentComment, TimelineEvent, User
from app.schemas.incident import AssignmentCreate
from app.services import escalation_service
from app.services.incidents import incident_service
from app.services.timeline_service import record


def assign(session: Session, incident_id: int, wanted: AssignmentCreate, *, by: User) -> IncidentAssignment:
    """Assign a user; the same again changes nothing. Raises InvalidInput, NotFound."""
    if wanted.incident_id not in (None, incident_id):
        raise InvalidInput("incident_id is not the incident in the path.", pointer="/incident_id")
    incident = incident_service.locked(session, incident_id)
    incident_service.require_active_user(session, wanted.user_id, pointer="/user_id")
    return put_assignment(session, incident, wanted.user_id, wanted.role, at=now(session), by=by)


def put_assignment(
    session: Session, incident: Incident, user_id: int, role: str, *, at: datetime, by: User | None
) -> IncidentAssignment:
    """The assignment of a user to a locked incident, made or with its role changed. The first one owns it."""
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
    description = f"User {user_id} was assigned as {role}."
    record(
        session, incident.id, TimelineEventType.ASSIGNED, description, at=at, by=by, user_id_assigned=user_id, role=role
    )
    session.flush()
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def unassign(session: Session, incident_id: int, user_id: int, *, by: User) -> IncidentAssignment:
    """End an assignment; the next assignee owns the incident. Raises NotFound."""
    incident = incident_service.locked(session, incident_id)
    assignment = crud_assignment.of_user(session, incident_id, user_id)
    if assignment is None:
        raise NotFound(f"User {user_id} is not assigned to incident {incident_id}.")
    at = now(session)
    crud_assignment.remove(session, assignment)
    if incident.assigned_to == user_id:
        others = crud_assignment.of_incident(session, incident_id)
        incident.assigned_to = others[0].user_id if others else None
    incident.updated_at = at
    description = f"User {user_id} is no longer assigned."
    record(session, incident.id, TimelineEventType.UNASSIGNED, description, at=at, by=by, user_id_unassigned=user_id)
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def comment(session: Session, incident_id: int, content: str, *, by: User) -> IncidentComment:
    """Write about an incident. Raises NotFound."""
    incident = incident_service.locked(session, incident_id)
    at = now(session)
    written = IncidentComment(incident_id=incident_id, user_id=by.id, content=content, created_at=at)
    crud_comment.add(session, written)
    incident.updated_at = at
    record(session, incident.id, TimelineEventType.COMMENTED, "Commented.", at=at, by=by, comment_id=written.id)
    return written


def comments(session: Session, incident_id: int, part: Slice) -> Sequence[IncidentComment]:
    """Comments, oldest first. Raises NotFound."""
    incident_service.get(session, incident_id)
    return crud_comment.slice(session, incident_id, part)


def timeline(session: Session, incident_id: int, part: Slice) -> Sequence[TimelineEvent]:
    """Every change of an incident, newest first. Raises NotFound."""
    incident_service.get(session, incident_id)
    return crud_timeline.slice(session, incident_id, part)


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """An incident with who works on it, what was written, oldest first, and what happened, newest first."""

    incident: Incident
    assignments: Sequence[IncidentAssignment]
    comments: Sequence[IncidentComment]
    timeline_events: Sequence[TimelineEvent]


def record_of(session: Session, incident_id: int, part: Slice) -> IncidentRecord:
    """An incident with its record: one slice of the comments, and one of the timeline. Raises NotFound."""
    return IncidentRecord(
        incident_service.get(session, incident_id),
        assignments=crud_assignment.of_incident(session, incident_id),
        comments=crud_comment.slice(session, incident_id, part),
        timeline_events=crud_timeline.slice(session, incident_id, part),
    )


def require_responder(session: Session, incident: Incident, user: User) -> None:
    """Raise PermissionDenied unless the user is an admin, the incident's creator or one of its assignees."""
    if user.is_superuser or user.id in (incident.created_by, incident.assigned_to):
        return
    if all(a.user_id != user.id for a in crud_assignment.of_incident(session, incident.id)):
        raise PermissionDenied("Only administrators, the incident's creator and its assignees may do this.")
