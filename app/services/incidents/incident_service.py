"""Finds, opens and changes incidents, and makes the moves that people ask for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.bounded_json import is_same
from app.core.errors import InvalidInput, NotFound
from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_incident, crud_user
from app.crud.clock import now
from app.crud.crud_incident import IncidentFilter, NewIncident
from app.crud.pagination import Page, Slice
from app.models import Incident, User
from app.schemas.incident import MAX_SNOOZE, IncidentCreate, IncidentUpdate, Snooze
from app.schemas.types import TOO_LARGE, is_small
from app.services import escalation_service
from app.services.contacts.name_service import names_of
from app.services.incidents import lifecycle_service
from app.services.incidents.incident import MOVES_TO, Move, MoveRequest
from app.services.timeline_service import record

log = structlog.get_logger()


def get(session: Session, incident_id: int) -> Incident:
    """Raises NotFound."""
    return _found(crud_incident.get(session, incident_id), incident_id)


def get_named(session: Session, incident_id: int) -> Incident:
    """The one that a body names as its `incident_id`. Raises InvalidInput."""
    try:
        return get(session, incident_id)
    except NotFound as error:
        raise InvalidInput(str(error), pointer="/incident_id") from error


def search(session: Session, wanted: IncidentFilter, part: Slice) -> Page[Incident]:
    """Incidents, newest first."""
    return crud_incident.slice(session, wanted, part)


def open(session: Session, new: IncidentCreate, *, by: User) -> Incident:  # noqa: A001 - the field's verb
    """Open an incident by hand. Raises InvalidInput if the assignee does not exist."""
    require_active_user(session, new.assigned_to, pointer="/assigned_to")
    incident = NewIncident(
        title=new.title,
        description=new.description,
        severity=new.severity,
        service=new.service,
        metadata=new.metadata,
        assigned_to=new.assigned_to,
        created_by=by.id,
    )
    [opened] = open_many(session, [incident], at=now(session), by=by)
    if opened is None:
        raise RuntimeError("an incident without an alert met a duplicate")
    return opened


def open_many(
    session: Session, new: Sequence[NewIncident], *, at: datetime, by: User | None = None
) -> list[Incident | None]:
    """Open a batch with one statement for each table. None stands for one whose alert is open already."""
    incidents = crud_incident.add_new(session, new, at=at)
    opened = [incident for incident in incidents if incident is not None]
    for incident in opened:
        description = f"Incident opened with severity {incident.severity}."
        record(session, incident.id, TimelineEventType.CREATED, description, at=at, by=by, **_opening(incident))
        log.info("incident_opened", incident_id=incident.id, severity=incident.severity, source=incident.source)
    if opened:
        escalation_service.start_matching(session, opened, at=at)
    return incidents


def _opening(incident: Incident) -> dict[str, Any]:
    """What the timeline keeps of an opening. A repeated alert replaces the description, so its first one is kept."""
    if incident.alert_severity is None or incident.description is None:
        return {"source": incident.source}
    return {"source": incident.source, "first_description": incident.description}


def acknowledge(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """Somebody is on it: paging stops."""
    return _move(session, incident_id, MoveRequest(Move.ACKNOWLEDGE, now(session)), by=by)


def resolve(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """It is over."""
    return _move(session, incident_id, MoveRequest(Move.RESOLVE, now(session)), by=by)


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
        raise InvalidInput("A snooze ends in the future, within 30 days.", pointer="/until")
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
        raise InvalidInput("A snooze needs an end: use the snooze action.", pointer="/status")
    return lifecycle_service.move(session, incident, MoveRequest(MOVES_TO[wanted], at), by=by)


def require_active_user(session: Session, user_id: int | None, *, pointer: str) -> None:
    """Raise InvalidInput if a body names a user who does not exist or is not active."""
    if user_id is not None and not crud_user.active(session, [user_id]):
        raise InvalidInput(f"There is no active user {user_id}.", pointer=pointer)


def locked(session: Session, incident_id: int) -> Incident:
    """The incident, locked until the end of the transaction. Raises NotFound."""
    return _found(crud_incident.get_for_update(session, incident_id), incident_id)


def _found(incident: Incident | None, incident_id: int) -> Incident:
    if incident is None:
        raise NotFound(f"There is no incident {incident_id}.")
    return incident
