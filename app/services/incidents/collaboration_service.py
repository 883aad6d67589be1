"""Assignments to an incident, and comments on it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.batches import ALONE, Alone
from app.core.errors import InvalidInput, NotFound, PermissionDenied
from app.core.vocabulary import TimelineEventType
from app.crud import crud_assignment, crud_comment, crud_incident, crud_timeline
from app.crud.clock import now
from app.crud.pagination import Page, Slice, as_dicts
from app.models import Incident, IncidentAssignment, IncidentComment, User
from app.schemas.incident import ActionNote, AssignmentCreate, IncidentDetail
from app.services import escalation_service
from app.services.asked import Asked
from app.services.contacts.name_service import names_of
from app.services.incidents import assignment_service, incident_service
from app.services.incidents.alert import cut_line
from app.services.timeline_service import record

SMALL_RECORD = Slice(limit=100, max_bytes=64 * 1024)  # what is read with others: of comments, and of the timeline
MAX_EXCERPT = 200  # characters of a comment in its timeline entry


def assign(session: Session, incident_id: int, wanted: AssignmentCreate, *, by: User) -> IncidentAssignment:
    """Assign a user. Repeating it changes nothing. Raises InvalidInput, NotFound."""
    require_same_incident(incident_id, wanted.incident_id)
    incident = incident_service.locked(session, incident_id)
    incident_service.require_active_user(session, wanted.user_id, pointer="/user_id")
    return assignment_service.put_assignment(session, incident, wanted.user_id, wanted.role, at=now(session), by=by)


def require_same_incident(in_path: int, in_body: int | None) -> None:
    """Raise InvalidInput if the body names a different incident than the path."""
    if in_body not in (None, in_path):
        raise InvalidInput(
            f"incident_id is {in_body}, but the path names incident {in_path}. Leave it out, or make them the same.",
            pointer="/incident_id",
        )


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
    name = names_of(session, {user_id}).get(user_id)
    description = f"{name or f'User {user_id}'} is no longer assigned."
    data = {"user_id_unassigned": user_id, "user_name_unassigned": name}
    record(session, incident.id, TimelineEventType.UNASSIGNED, description, at=at, by=by, **data)
    escalation_service.begin_on_open(session, [incident], at=at)
    return assignment


def comment(session: Session, incident_id: int, content: str, *, by: User) -> IncidentComment:
    """Comment on an incident. Raises NotFound."""
    return _write(session, incident_service.locked(session, incident_id), content, by=by)


def comment_with_action(session: Session, incident: Incident, note: ActionNote | None, *, by: User) -> Incident:
    """Save the comment that came with an action on a locked incident, even if the action changed nothing."""
    if note is not None and note.comment is not None:
        _write(session, incident, note.comment, by=by)
    return incident


def _write(session: Session, incident: Incident, content: str, *, by: User) -> IncidentComment:
    at = now(session)
    written = IncidentComment(incident_id=incident.id, user_id=by.id, content=content, created_at=at)
    crud_comment.add(session, written)
    incident.updated_at = at
    said = f"{by.display_name} commented: {cut_line(content, MAX_EXCERPT)}"
    record(session, incident.id, TimelineEventType.COMMENTED, said, at=at, by=by, comment_id=written.id)
    return written


def comments(session: Session, incident_id: int, part: Slice) -> Page[Row[Any]]:
    """Comments, oldest first. Raises NotFound."""
    incident_service.get(session, incident_id)
    return crud_comment.slice(session, incident_id, part)


def timeline(session: Session, incident_id: int, part: Slice) -> Page[Row[Any]]:
    """Every change of an incident, newest first. Raises NotFound."""
    incident_service.get(session, incident_id)
    return crud_timeline.slice(session, incident_id, part)


@dataclass(frozen=True, slots=True)
class IncidentRecord:
    """An incident with its assignments, its comments (oldest first) and its timeline (newest first)."""

    incident: Row[Any]
    assignments: Sequence[Row[Any]]
    comments: Page[Row[Any]]
    timeline_events: Page[Row[Any]]

    def detail(self) -> IncidentDetail:
        record = {
            "assignments": as_dicts(self.assignments),
            "comments": as_dicts(self.comments),
            "timeline_events": as_dicts(self.timeline_events),
        }
        return IncidentDetail.model_validate(as_dicts([self.incident])[0] | record)


def record_of(session: Session, incident_id: int, part: Slice) -> IncidentRecord:
    """An incident with its record: one slice each of its comments and its timeline. Raises NotFound."""
    record = records_of(session, [incident_id], part).get(incident_id)
    if record is None:
        raise incident_service.not_found(incident_id)
    return record


def records_of(session: Session, ids: Collection[int], part: Slice) -> dict[int, IncidentRecord]:
    """As `record_of`, for each of the incidents that exist."""
    incidents = crud_incident.rows(session, ids)
    if not incidents:
        return {}
    assignments = crud_assignment.of_incidents(session, incidents.keys())
    comments = crud_comment.slices(session, incidents.keys(), part)
    timelines = crud_timeline.slices(session, incidents.keys(), part)
    return {
        id_: IncidentRecord(incident, assignments[id_], comments[id_], timelines[id_])
        for id_, incident in incidents.items()
    }


def read_each(
    session: Session,
    asked: Sequence[Asked[int]],
    *,
    waits: bool,  # noqa: ARG001 - reading waits for nobody
) -> list[IncidentDetail | NotFound | Alone]:
    """The whole record of one incident for each of the users. ALONE stands for one that is large."""
    records = records_of(session, {one.wanted for one in asked}, SMALL_RECORD)
    small = {id_: _if_small(record) for id_, record in records.items()}
    return [small.get(one.wanted) or incident_service.not_found(one.wanted) for one in asked]


def _if_small(record: IncidentRecord) -> IncidentDetail | Alone:
    """The record, if it is whole."""
    is_whole = all(SMALL_RECORD.has_all(part) for part in (record.comments, record.timeline_events))
    return record.detail() if is_whole else ALONE


def require_involved(session: Session, incident: Incident, user: User) -> None:
    """Raise PermissionDenied unless the user is an administrator or involved in the incident.

    Involved are its creator, its assignees, everybody who was paged for it, and everybody who acknowledged it.
    """
    if user.is_superuser or user.id in (incident.created_by, incident.assigned_to):
        return
    if not crud_assignment.is_involved(session, incident.id, user.id):
        raise PermissionDenied(
            "Only administrators and people involved in the incident may do this: its creator, its assignees, and "
            "anybody who was paged for it or acknowledged it."
        )
