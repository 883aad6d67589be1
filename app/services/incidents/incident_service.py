"""Finds, opens and changes incidents, and makes the moves that people ask for."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core import origin, tracing
from app.core.audit_actions import AuditAction
from app.core.batches import ALONE, Alone
from app.core.bounded_json import is_same
from app.core.errors import InvalidInput, NotFound
from app.core.plain_lines import PlainLines
from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_incident, crud_user
from app.crud.clock import now
from app.crud.crud_opening import crud_opening
from app.crud.incident_list import IncidentFilter
from app.crud.pagination import Page, as_dicts
from app.crud.time_slice import TimeSlice
from app.crud.wakeup import wake
from app.models import Incident, User
from app.schemas.incident import MAX_SNOOZE, IncidentCreate, IncidentUpdate, Snooze
from app.schemas.types import TOO_LARGE, is_small
from app.services import audit_service, counting_service, escalation_service
from app.services.asked import Asked
from app.services.contacts.name_service import names_of
from app.services.incidents import lifecycle_service
from app.services.incidents.incident import MOVES_TO, Move, MoveRequest
from app.services.incidents.opening import NewIncident, OpenedIncident, Opening, opening_of
from app.services.timeline_service import record

log = structlog.get_logger()
lines = PlainLines(__name__)

KEPT_OF_DELETED = ("title", "status", "severity", "service", "source", "created_by", "created_at")


def get(session: Session, incident_id: int) -> Incident:
    """Raises NotFound."""
    return _found(crud_incident.get(session, incident_id), incident_id)


def get_named(session: Session, incident_id: int) -> Incident:
    """The one that a body names as its `incident_id`. Raises InvalidInput."""
    try:
        return get(session, incident_id)
    except NotFound as error:
        raise InvalidInput(str(error), pointer="/incident_id") from error


def search(session: Session, wanted: IncidentFilter, part: TimeSlice) -> Page[Row[Any]]:
    """Incidents, newest first."""
    return crud_incident.slice(session, wanted, part)


def search_each(
    session: Session,
    asked: Sequence[Asked[tuple[IncidentFilter, TimeSlice]]],
    *,
    waits: bool,  # noqa: ARG001 - reading waits for nobody
) -> list[Page[dict[str, Any]] | Alone]:
    """A list for each of the users. Equal lists are read once. ALONE stands for one that is large."""
    pages = {wanted: search(session, *wanted) for wanted in dict.fromkeys(one.wanted for one in asked)}
    lists = {wanted: ALONE if page.is_cut else Page(as_dicts(page)) for wanted, page in pages.items()}
    return [lists[one.wanted] for one in asked]


def open(session: Session, new: IncidentCreate, *, by: User) -> OpenedIncident:  # noqa: A001 - the field's verb
    """Open an incident by hand. Raises InvalidInput if the assignee does not exist."""
    [outcome] = open_each(session, [Asked(by, new, origin.current().traceparent)], waits=True)
    if isinstance(outcome, InvalidInput):
        raise outcome
    return outcome


def open_each(
    session: Session,
    asked: Sequence[Asked[IncidentCreate]],
    *,
    waits: bool,  # noqa: ARG001 - see Many
) -> list[OpenedIncident | InvalidInput]:
    """Open an incident for each of these users. InvalidInput stands for one whose assignee does not exist.

    `waits` makes no difference: an opening waits for no lock on a row.
    """
    assignees = _active(session, {one.wanted.assigned_to for one in asked} - {None})
    refusals = [_refusal_of_assignee(one.wanted.assigned_to, assignees) for one in asked]
    incidents = [_by_hand(one) for one, refusal in zip(asked, refusals, strict=True) if refusal is None]
    opened = iter(open_many(session, incidents, at=now(session)))
    return [_opened(next(opened)) if refusal is None else refusal for refusal in refusals]


def _by_hand(asked: Asked[IncidentCreate]) -> NewIncident:
    new, by = asked.wanted, asked.user
    return NewIncident(
        title=new.title,
        description=new.description,
        severity=new.severity,
        service=new.service,
        metadata=new.metadata,
        assigned_to=new.assigned_to,
        created_by=by.id,
        api_key_id=by.api_key.id if by.api_key else None,
        traceparent=asked.traceparent,
    )


def _opened(incident: OpenedIncident | None) -> OpenedIncident:
    if incident is None:
        raise RuntimeError("an incident without an alert met a duplicate")
    return incident


def open_many(session: Session, new: Sequence[NewIncident], *, at: datetime) -> list[OpenedIncident | None]:
    """Open a batch, with one statement for all that is written. None stands for one whose alert is open already."""
    if not new:
        return []
    starts = escalation_service.first_starts(session, [incident.facts for incident in new], at=at)
    ids = crud_opening.next_ids(session, len(new))
    openings = [opening_of(*parts, at=at) for parts in zip(ids, new, starts, strict=True)]
    written = crud_opening.add(
        session,
        incidents=[opening.incident.row() for opening in openings],
        escalations=[row for opening in openings for row in opening.escalations()],
        entries=[row for opening in openings for row in opening.entries()],
    )
    opened = [opening if opening.incident.id in written else None for opening in openings]
    _announce(session, [opening for opening in opened if opening is not None])
    return [None if opening is None else opening.incident for opening in opened]


def _announce(session: Session, openings: Sequence[Opening]) -> None:
    """Log what was opened, and wake the worker if it has something to do at once."""
    incidents = [opening.incident for opening in openings]
    seen = [_seen(incident) for incident in incidents]
    lines.info("incident_opened", *seen)
    counting_service.incidents_opened(session, (incident.source for incident in incidents))
    counting_service.unmatched(session, sum(incident.is_unmatched for incident in incidents))
    for incident, fields in zip(incidents, seen, strict=True):
        if incident.is_unmatched:
            log.warning("no_policy_matched", **fields)
    if any(opening.is_due_at_once for opening in openings):
        wake(session, "plan")


def _seen(incident: OpenedIncident) -> dict[str, Any]:
    """What the log says of an incident that was opened: in which trace, too, as a batch has many."""
    about = {"incident_id": incident.id, "severity": incident.severity, "source": incident.source}
    return about | tracing.named_in_logs(incident.traceparent)


def reopen(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """It is not over: a new cycle begins, and paging starts over."""
    return _move(session, incident_id, MoveRequest(Move.REOPEN, now(session)), by=by)


def snooze_of(hours: float | None, body: Snooze | None) -> Snooze:
    """The one of the two that was given. Raises InvalidInput for none or both."""
    if (hours is None) == (body is None or not body.has_time):
        raise InvalidInput("Give ?hours=, or one of minutes, hours and until in the body.", pointer="hours")
    return Snooze(hours=hours) if body is None or hours is not None else body


def snooze(session: Session, incident_id: int, wanted: Snooze, *, by: User) -> Incident:
    """Be quiet until a time over 0 and up to 30 days away. Raises InvalidInput for another."""
    at = now(session)
    until = wanted.end(at)
    if not at < until <= at + MAX_SNOOZE:
        raise InvalidInput("A snooze must end in the future and within 30 days.", pointer="/until")
    return _move(session, incident_id, MoveRequest(Move.SNOOZE, at, snoozed_until=until), by=by)


def _move(session: Session, incident_id: int, wanted: MoveRequest, *, by: User | None) -> Incident:
    return lifecycle_service.move(session, locked(session, incident_id), wanted, by=by)


def update(session: Session, incident_id: int, update: IncidentUpdate, *, by: User) -> Incident:
    """Change fields, then the status if it is named. Raises InvalidInput, InvalidTransition, NotFound."""
    incident = locked(session, incident_id)
    at = now(session)
    changes = update.changes()
    wanted = changes.pop("status", incident.status)
    if "metadata" in changes:
        changes["metadata_"] = changes.pop("metadata")
        _require_small_metadata(incident, changes["metadata_"])
    if changes.get("assigned_to") != incident.assigned_to:
        require_active_user(session, changes.get("assigned_to"), pointer="/assigned_to")
    change_fields(session, incident, changes, at=at, by=by)
    return _move_to(session, incident, wanted, at=at, by=by)


def _require_small_metadata(incident: Incident, metadata: dict[str, Any]) -> None:
    """Raise InvalidInput for new metadata that is too large. What is stored already may be sent back."""
    if not (is_small(metadata) or is_same(metadata, incident.metadata_)):
        raise InvalidInput(f"metadata {TOO_LARGE}.", pointer="/metadata")


def change_fields(
    session: Session, incident: Incident, changes: dict[str, Any], *, at: datetime, by: User | None
) -> None:
    """Set fields of a locked incident, and let policies see what their conditions ask. `by` nobody: the service."""
    old = _apply(session, incident, changes, at=at)
    if not old:
        return
    said = {name.rstrip("_"): {"from": old[name], "to": changes[name]} for name in changes if name in old}
    owner = _name_owners(session, said["assigned_to"]) if "assigned_to" in said else ""
    description = f"Changed {', '.join(said)}.{owner}"
    record(session, incident.id, TimelineEventType.UPDATED, description, at=at, by=by, changes=said)
    log.info("incident_updated", incident_id=incident.id, fields=sorted(said))
    if old.keys() & {"severity", "service"}:
        escalation_service.rematch(session, incident, at=at)
    elif old.keys() & {"metadata_", "assigned_to"}:
        escalation_service.begin_on_open(session, [incident], at=at)
    session.flush()


def _name_owners(session: Session, change: dict[str, Any]) -> str:
    """Put the names of the owners before and after beside their ids. Returns the sentence on that."""
    names = names_of(session, {change["from"], change["to"]} - {None})
    change |= {"from_name": names.get(change["from"]), "to_name": names.get(change["to"])}
    return f" The owner is now {change['to_name']}." if change["to"] is not None else " Nobody owns it now."


def _apply(session: Session, incident: Incident, changes: dict[str, Any], *, at: datetime) -> dict[str, Any]:
    """What really changed, as attribute -> old value."""
    others = {name: value for name, value in changes.items() if name != "severity"}
    old, severity_was = crud_incident.apply(session, incident, others, at=at), incident.severity
    if "description" in old:  # from now on repeated alerts leave it alone
        incident.is_description_edited = True
    lifecycle_service.change_severity(incident, changes.get("severity", severity_was), at=at)
    return old | ({"severity": severity_was} if incident.severity != severity_was else {})


def _move_to(session: Session, incident: Incident, wanted: IncidentStatus, *, at: datetime, by: User) -> Incident:
    if wanted is incident.status:
        return incident
    if wanted not in MOVES_TO:
        raise InvalidInput("A snooze needs an end. Use the snooze action.", pointer="/status")
    return lifecycle_service.move(session, incident, MoveRequest(MOVES_TO[wanted], at), by=by)


def delete(session: Session, incident_id: int) -> Incident:
    """Delete an incident with its record and its unsent pages. The audit log keeps that it was. Raises NotFound."""
    incident = locked(session, incident_id)
    kept = {name: (getattr(incident, name), None) for name in KEPT_OF_DELETED}
    audit_service.record(session, AuditAction.INCIDENT_DELETED, "incident", incident.id, changes=kept)
    crud_incident.delete(session, incident.id)
    log.warning("incident_deleted", incident_id=incident.id)
    return incident


def require_active_user(session: Session, user_id: int | None, *, pointer: str) -> None:
    """Raise InvalidInput if a body names a user who does not exist or is not active."""
    refusal = _refusal_of_assignee(user_id, _active(session, {user_id} - {None}), pointer=pointer)
    if refusal is not None:
        raise refusal


def _active(session: Session, user_ids: Collection[int | None]) -> set[int]:
    """Those of the users who are active."""
    ids = [user_id for user_id in user_ids if user_id is not None]
    return {user.id for user in crud_user.active(session, ids)} if ids else set()


def _refusal_of_assignee(
    user_id: int | None, active: Collection[int], *, pointer: str = "/assigned_to"
) -> InvalidInput | None:
    if user_id is None or user_id in active:
        return None
    return InvalidInput(f"User {user_id} does not exist or is not active. Name an active user.", pointer=pointer)


def locked(session: Session, incident_id: int) -> Incident:
    """The incident, locked until the end of the transaction. Raises NotFound."""
    return _found(crud_incident.get_for_update(session, incident_id), incident_id)


def _found(incident: Incident | None, incident_id: int) -> Incident:
    if incident is None:
        raise not_found(incident_id)
    return incident


def not_found(incident_id: int) -> NotFound:
    """The error for an id that no incident has."""
    return NotFound(f"There is no incident {incident_id}.")
