"""Opens incidents and moves them through their lifecycle."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import AlertOpenElsewhere, CycleLimitReached, InvalidInput, InvalidTransition, NotFound
from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_incident, crud_user
from app.crud.base import Page, now
from app.crud.crud_incident import IncidentFilter
from app.crud.violations import violations
from app.models import Incident, User
from app.schemas.incident import MAX_SNOOZE, IncidentCreate, IncidentUpdate, Snooze
from app.services import escalation_service
from app.services.incidents.incident import MOVES_TO, Move, transition
from app.services.timeline_service import record

log = structlog.get_logger()

MAX_POLICY_CYCLES = 5
ALERT_IS_UNIQUE = "uq_incidents_source_alert_id"
PAST_TENSE = {
    Move.ACKNOWLEDGE: TimelineEventType.ACKNOWLEDGED,
    Move.RESOLVE: TimelineEventType.RESOLVED,
    Move.SNOOZE: TimelineEventType.SNOOZED,
    Move.REOPEN: TimelineEventType.REOPENED,
}


def get(session: Session, incident_id: int) -> Incident:
    """Raises NotFound."""
    return _found(crud_incident.get(session, incident_id), incident_id)


def get_named(session: Session, incident_id: int) -> Incident:
    """The one that a body names as its `incident_id`. Raises InvalidInput."""
    try:
        return get(session, incident_id)
    except NotFound as error:
        raise InvalidInput(str(error), pointer="/incident_id") from error


def search(session: Session, wanted: IncidentFilter, page: Page) -> Sequence[Incident]:
    """Incidents, newest first."""
    return crud_incident.page(session, wanted, page)


def open(session: Session, new: IncidentCreate, *, by: User) -> Incident:  # noqa: A001 - the field's verb
    """Open an incident by hand. Raises InvalidInput if the assignee does not exist."""
    require_active_user(session, new.assigned_to, pointer="/assigned_to")
    row = {
        "title": new.title,
        "description": new.description,
        "severity": new.severity,
        "service": new.service,
        "assigned_to": new.assigned_to,
        "metadata_": new.metadata,
        "created_by": by.id,
        "source": "api",
        "alert_id": None,
    }
    [incident] = open_many(session, [row], at=now(session), by=by)
    if incident is None:
        raise RuntimeError("an incident without an alert met a duplicate")
    return incident


def open_many(
    session: Session, rows: Sequence[dict[str, Any]], *, at: datetime, by: User | None = None
) -> list[Incident | None]:
    """Open a batch with one statement for each table. None stands for one whose alert is open already."""
    stamped = [{**row, "status": IncidentStatus.OPEN, "created_at": at, "updated_at": at} for row in rows]
    incidents = crud_incident.add_new(session, stamped)
    opened = [incident for incident in incidents if incident is not None]
    for incident in opened:
        description = f"Incident opened with severity {incident.severity}."
        record(session, incident.id, TimelineEventType.CREATED, description, at=at, by=by, source=incident.source)
        log.info("incident_opened", incident_id=incident.id, severity=incident.severity, source=incident.source)
    if opened:
        escalation_service.start_matching(session, opened, at=at)
    return incidents


def acknowledge(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """Somebody is on it: paging stops."""
    return move(session, locked(session, incident_id), Move.ACKNOWLEDGE, at=now(session), by=by)


def resolve(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """It is over."""
    return move(session, locked(session, incident_id), Move.RESOLVE, at=now(session), by=by)


def reopen(session: Session, incident_id: int, *, by: User | None) -> Incident:
    """It is not over: a new cycle, paging begins anew."""
    return move(session, locked(session, incident_id), Move.REOPEN, at=now(session), by=by)


def snooze_of(hours: float | None, body: Snooze | None) -> Snooze:
    """The one of the two that was given. Raises InvalidInput for none or both."""
    if (hours is None) == (body is None):
        raise InvalidInput("Give ?hours=, or one of minutes, hours and until in the body.", pointer="hours")
    return body or Snooze(hours=hours)


def snooze(session: Session, incident_id: int, wanted: Snooze, *, by: User) -> Incident:
    """Be quiet until a time over 0 and up to 30 days away. Raises InvalidInput for another."""
    at = now(session)
    until = wanted.end(at)
    if not at < until <= at + MAX_SNOOZE:
        raise InvalidInput("A snooze ends in the future, within 30 days.", pointer="/until")
    return move(session, locked(session, incident_id), Move.SNOOZE, at=at, by=by, snoozed_until=until)


def move(
    session: Session,
    incident: Incident,
    move: Move,
    *,
    at: datetime,
    by: User | None = None,
    snoozed_until: datetime | None = None,
    because: str = "",
    is_by_policy: bool = False,
) -> Incident:
    """Make one move of a locked incident; a repeated one changes nothing. Raises InvalidTransition."""
    step = transition(incident.status, move)
    if step.to is None:
        raise InvalidTransition(
            f"A {incident.status} incident cannot {move}; possible: {', '.join(step.possible)}.",
            possible=[str(possible) for possible in step.possible],
        )
    if step.is_no_op:
        return incident
    if not is_by_policy:
        incident.policy_cycles = 0
    else:
        _refuse_after_many_cycles(session, incident, at=at)
        if step.to is IncidentStatus.OPEN:
            incident.policy_cycles += 1
    came_from = incident.status
    if came_from is IncidentStatus.RESOLVED:
        _unresolve(session, incident, at=at)
    else:
        _settle(incident, step.to, at=at, snoozed_until=snoozed_until)
    description = f"Incident {PAST_TENSE[move]}{because}."
    data = {"from": came_from, "to": step.to, **({"until": snoozed_until.isoformat()} if snoozed_until else {})}
    record(session, incident.id, PAST_TENSE[move], description, at=at, by=by, **data)
    if step.to is IncidentStatus.OPEN:
        start_new_cycle(session, [incident], at=at)
    else:
        escalation_service.stop(incident)
    log.info("incident_moved", incident_id=incident.id, came_from=came_from, to=step.to)
    return incident


def _refuse_after_many_cycles(session: Session, incident: Incident, *, at: datetime) -> None:
    """Policies that answer each other would go on for ever: after some cycles they move the incident no more.

    It stays open then, for the policies that page. Raises CycleLimitReached, until a person or an alert does something.
    """
    if incident.policy_cycles >= MAX_POLICY_CYCLES:
        description = f"Policies have begun this incident anew {MAX_POLICY_CYCLES} times: none may move it now."
        record(session, incident.id, TimelineEventType.CYCLE_LIMIT_REACHED, description, at=at)
        log.error("cycle_limit_reached", incident_id=incident.id)
        raise CycleLimitReached(f"The limit of {MAX_POLICY_CYCLES} cycles that policies begin is reached.")


def _unresolve(session: Session, incident: Incident, *, at: datetime) -> None:
    """Open again. The database decides whether the incident's alert is open in another one.

    Raises AlertOpenElsewhere.
    """
    elsewhere = AlertOpenElsewhere("The alert of this incident was open in another.")
    try:
        with violations({ALERT_IS_UNIQUE: elsewhere}), session.begin_nested():
            _settle(incident, IncidentStatus.OPEN, at=at, snoozed_until=None)
    except AlertOpenElsewhere:
        _name_where_alert_is_open(session, incident)
        raise


def _settle(incident: Incident, to: IncidentStatus, *, at: datetime, snoozed_until: datetime | None) -> None:
    """Set the status and the times that belong to it."""
    incident.status = to
    incident.updated_at = at
    incident.snoozed_until = snoozed_until if to is IncidentStatus.SNOOZED else None
    incident.resolved_at = at if to is IncidentStatus.RESOLVED else None
    if to is IncidentStatus.ACKNOWLEDGED:
        incident.acknowledged_at = at
    elif to is IncidentStatus.OPEN:
        incident.acknowledged_at = None


def start_new_cycle(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Pages of the cycle before are void, and every policy that matches begins anew."""
    for incident in incidents:
        incident.cycle += 1
        escalation_service.stop(incident)
    escalation_service.start_matching(session, incidents, at=at)


def end_snoozes(session: Session, *, limit: int) -> int:
    """Reopen the incidents whose snooze is over. Returns how many there were."""
    at = now(session)
    incidents = crud_incident.claim_snooze_ended(session, at=at, limit=limit)
    for incident in incidents:
        end_snooze(session, incident, at=at)
    if incidents:
        start_new_cycle(session, incidents, at=at)
        session.flush()
    return len(incidents)


def end_snooze(session: Session, incident: Incident, *, at: datetime) -> None:
    """Open again; nobody has acknowledged this cycle, the assignees stay. The caller starts the cycle."""
    _settle(incident, IncidentStatus.OPEN, at=at, snoozed_until=None)
    record(session, incident.id, TimelineEventType.SNOOZE_ENDED, "The snooze is over.", at=at)
    log.info("incident_snooze_ended", incident_id=incident.id)


def update(session: Session, incident_id: int, update: IncidentUpdate, *, by: User) -> Incident:
    """Change fields, then the status if it is named. Raises InvalidInput, InvalidTransition, NotFound."""
    incident = locked(session, incident_id)
    at = now(session)
    changes = update.changes()
    wanted = changes.pop("status", incident.status)
    if "metadata" in changes:
        changes["metadata_"] = changes.pop("metadata")
    if changes.get("assigned_to") != incident.assigned_to:
        require_active_user(session, changes.get("assigned_to"), pointer="/assigned_to")
    change_fields(session, incident, changes, at=at, by=by)
    return _move_to(session, incident, wanted, at=at, by=by)


def change_fields(
    session: Session, incident: Incident, changes: dict[str, Any], *, at: datetime, by: User | None
) -> None:
    """Set fields of a locked incident, and let policies see what their conditions ask. `by` nobody: the service."""
    old = crud_incident.apply(session, incident, changes, at=at)
    if not old:
        return
    said = {name.rstrip("_"): {"from": value, "to": getattr(incident, name)} for name, value in old.items()}
    description = f"Changed {', '.join(said)}."
    record(session, incident.id, TimelineEventType.UPDATED, description, at=at, by=by, changes=said)
    log.info("incident_updated", incident_id=incident.id, fields=sorted(said))
    if old.keys() & {"severity", "service"}:
        escalation_service.rematch(session, incident, at=at)
    elif old.keys() & {"metadata_", "assigned_to"}:
        escalation_service.begin_on_open(session, [incident], at=at)
    session.flush()


def _move_to(session: Session, incident: Incident, wanted: IncidentStatus, *, at: datetime, by: User) -> Incident:
    if wanted is incident.status:
        return incident
    if wanted not in MOVES_TO:
        raise InvalidInput("A snooze needs an end: use the snooze action.", pointer="/status")
    return move(session, incident, MOVES_TO[wanted], at=at, by=by)


def require_active_user(session: Session, user_id: int | None, *, pointer: str) -> None:
    """Raise InvalidInput if a body names a user who does not exist or is not active."""
    if user_id is not None and not crud_user.active(session, [user_id]):
        raise InvalidInput(f"There is no active user {user_id}.", pointer=pointer)


def locked(session: Session, incident_id: int) -> Incident:
    """The incident, locked until the end of the transaction. Raises NotFound."""
    return _found(crud_incident.get_for_update(session, incident_id), incident_id)


def _name_where_alert_is_open(session: Session, incident: Incident) -> None:
    """Raise AlertOpenElsewhere with the other incident's id, unless that was resolved just now."""
    key = incident.alert_id or ""
    other = crud_incident.lock_unresolved(session, incident.source, [key]).get(key)
    if other is not None:
        raise AlertOpenElsewhere(f"The alert of this incident is open in incident {other.id}.", incident_id=other.id)


def _found(incident: Incident | None, incident_id: int) -> Incident:
    if incident is None:
        raise NotFound(f"There is no incident {incident_id}.")
    return incident
