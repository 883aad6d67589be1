"""Moves incidents through their lifecycle: the one place that sets their status, times, cycle and severity."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import AlertOpenElsewhere, CycleLimitReached, InvalidTransition
from app.core.vocabulary import IncidentStatus, Severity, TimelineEventType
from app.crud import crud_assignment, crud_incident, crud_outbox
from app.crud.clock import now
from app.crud.crud_response import LockedIncident
from app.crud.crud_status_update import StatusChange
from app.crud.violations import violations
from app.models import Incident, User
from app.services import counting_service, escalation_service
from app.services.counting_service import Responses
from app.services.incidents import assignment_service, status_update_service
from app.services.incidents.incident import (
    MAX_POLICY_CYCLES,
    Move,
    MoveRequest,
    Refusal,
    State,
    Transition,
    transition,
)
from app.services.incidents.move_record import PAST_TENSE, entry_of_move
from app.services.timeline_service import record

log = structlog.get_logger()

ALERT_IS_UNIQUE = "uq_incidents_source_alert_id"


@dataclass(frozen=True, slots=True)
class Moving:
    """A move of a locked incident, and who makes it: nobody if the service does. `because` ends the sentence on it."""

    incident: Incident
    wanted: MoveRequest
    by: User | None = None
    because: str = ""

    @property
    def taker(self) -> User | None:
        """Who takes the incident by this move. Nobody if an API key makes it."""
        is_taken = self.wanted.move is Move.ACKNOWLEDGE and self.by is not None and self.by.api_key is None
        return self.by if is_taken else None


def move(
    session: Session, incident: Incident, wanted: MoveRequest, *, by: User | None = None, because: str = ""
) -> Incident:
    """Make one of the moves that people are offered on a locked incident. Repeating it changes nothing.

    The person who acknowledges becomes an assignee (the owner if there is none) and gets no more pages for it, unless
    an API key does it for them. Those who were paged get a status update when it is acknowledged or resolved. Raises
    InvalidTransition, CycleLimitReached, AlertOpenElsewhere.
    """
    moving = Moving(incident, wanted, by, because)
    takes = [(incident.id, moving.taker.id)] if moving.taker else []
    change = move_untold(session, moving, is_assigned=bool(crud_assignment.among(session, takes)))
    status_update_service.add(session, [change] if change else [], at=wanted.at)
    crud_outbox.end_chains(session, takes)
    return incident


def move_untold(session: Session, moving: Moving, *, is_assigned: bool = False) -> StatusChange | None:
    """As `move`, but returns the status update instead of adding it: the caller adds those of a whole batch.

    `is_assigned` says that the person who takes the incident is an assignee already.
    """
    incident, wanted = moving.incident, moving.wanted
    step = transition_of(incident, wanted)
    _require_allowed(session, incident, step, wanted)
    if step.is_no_op:
        return None
    _apply(session, incident, step, at=wanted.at)
    if moving.taker is not None:
        assignment_service.take_over(session, incident, is_assigned=is_assigned, at=wanted.at, by=moving.taker)
    _record_move(session, moving, step)
    if step.begins_cycle:
        _start_cycle(session, [incident], at=wanted.at)
    else:
        escalation_service.stop(incident)
    counting_service.responses(session, note_response(Responses(), step, opened_at=incident.created_at, at=wanted.at))
    log.info("incident_moved", incident_id=incident.id, came_from=step.before.status, to=step.after.status)
    return status_update_service.change_of(incident, by=moving.by, because=moving.because)


def change_severity(incident: Incident, severity: Severity, *, at: datetime) -> None:
    """Set the severity of a locked incident. The caller records it and lets policies see it."""
    _set(incident, transition_of(incident, MoveRequest(Move.CHANGE_SEVERITY, at, severity=severity)), at=at)


def raise_severity(session: Session, incident: Incident, severity: Severity, *, at: datetime) -> None:
    """Raise the severity after a worse alert, and reopen an acknowledged or snoozed incident. Never lowers it."""
    step = transition_of(incident, MoveRequest(Move.RAISE_SEVERITY, at, severity=severity))
    if step.is_no_op:
        return
    _set(incident, step, at=at)
    description = f"The alert raised the severity to {severity}."
    data: dict[str, Any] = {"from": step.before.severity, "to": severity, "status_was": step.before.status}
    record(session, incident.id, TimelineEventType.SEVERITY_RAISED, description, at=at, **data)
    log.info("incident_severity_raised", incident_id=incident.id, severity=severity)
    if step.begins_cycle:
        _start_cycle(session, [incident], at=at)
    else:
        escalation_service.rematch(session, incident, at=at)


def end_snoozes(session: Session, *, limit: int) -> int:
    """Reopen the incidents whose snooze has ended. Returns how many."""
    at = now(session)
    incidents = crud_incident.claim_snooze_ended(session, at=at, limit=limit)
    end_snooze(session, incidents, at=at)
    return len(incidents)


def end_snooze(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Reopen snoozed incidents in a new, unacknowledged cycle. The assignees stay."""
    if not incidents:
        return
    for incident in incidents:
        _set(incident, transition_of(incident, MoveRequest(Move.END_SNOOZE, at)), at=at)
        record(session, incident.id, TimelineEventType.SNOOZE_ENDED, "The snooze ended.", at=at)
        log.info("incident_snooze_ended", incident_id=incident.id)
    _start_cycle(session, incidents, at=at)
    session.flush()


def note_response(made: Responses, step: Transition, *, opened_at: datetime, at: datetime) -> Responses:
    """Note how long after its opening an incident was first acknowledged, or resolved, if the move does that."""
    seconds = (at - opened_at).total_seconds()
    if step.is_first_acknowledgement:
        made.acknowledged.append(seconds)
    if step.is_resolution:
        made.resolved.append(seconds)
    return made


def transition_of(incident: Incident | LockedIncident, wanted: MoveRequest) -> Transition:
    """What a move does to an incident."""
    return transition(State(**{field.name: getattr(incident, field.name) for field in fields(State)}), wanted)


def applied(incident: LockedIncident, step: Transition, *, at: datetime) -> LockedIncident:
    """The incident as it is after a move."""
    return replace(incident, **step.before.changes_to(step.after), updated_at=at)


def _apply(session: Session, incident: Incident, step: Transition, *, at: datetime) -> None:
    """Set the changed fields. Raises AlertOpenElsewhere."""
    if step.before.status is not IncidentStatus.RESOLVED:
        _set(incident, step, at=at)
        return
    with _alert_open_only_here(session, incident):
        _set(incident, step, at=at)


def _set(incident: Incident, step: Transition, *, at: datetime) -> None:
    changes = step.before.changes_to(step.after)
    for name, value in changes.items():
        setattr(incident, name, value)
    if not step.is_no_op:
        incident.updated_at = at


def _require_allowed(session: Session, incident: Incident, step: Transition, wanted: MoveRequest) -> None:
    """Raise the error for a refusal. Also records it when policies have reached their limit of cycles."""
    if step.refusal is Refusal.NOT_POSSIBLE:
        raise impossible(step, wanted)
    if step.refusal is Refusal.CYCLE_LIMIT:
        description = (
            f"Policies have restarted this incident {MAX_POLICY_CYCLES} times, which is the limit. "
            "They can change it again once a person or an alert has."
        )
        record(session, incident.id, TimelineEventType.CYCLE_LIMIT_REACHED, description, at=wanted.at)
        log.error("cycle_limit_reached", incident_id=incident.id)
        raise CycleLimitReached(description)


def impossible(step: Transition, wanted: MoveRequest) -> InvalidTransition:
    """The error that says what can be done instead of a move that is not possible."""
    return InvalidTransition(
        f"A {step.before.status} incident can't be {PAST_TENSE[wanted.move]}. "
        f"{' or '.join(step.possible).capitalize()} it first.",
        possible=[str(possible) for possible in step.possible],
    )


def _record_move(session: Session, moving: Moving, step: Transition) -> None:
    said = entry_of_move(moving.wanted, step, moving.because)
    at, by = moving.wanted.at, moving.by
    record(session, moving.incident.id, said.event_type, said.description, at=at, by=by, **said.data)


def _start_cycle(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Void the previous cycle's pages, and start every matching policy from its first step."""
    for incident in incidents:
        escalation_service.stop(incident)
    escalation_service.start_matching(session, incidents, at=at)


@contextmanager
def _alert_open_only_here(session: Session, incident: Incident) -> Iterator[None]:
    """Let the database check that no other incident has this alert open. Raises AlertOpenElsewhere."""
    elsewhere = AlertOpenElsewhere("Another incident had the same alert open a moment ago. Try again.")
    try:
        with violations({ALERT_IS_UNIQUE: elsewhere}), session.begin_nested():
            yield
    except AlertOpenElsewhere:
        _name_where_alert_is_open(session, incident)
        raise


def _name_where_alert_is_open(session: Session, incident: Incident) -> None:
    """Raise AlertOpenElsewhere with the other incident's id, unless that one was resolved just now."""
    key = incident.alert_id or ""
    other = crud_incident.lock_unresolved(session, incident.source, [key]).get(key)
    if other is not None:
        said = f"Incident {other.id} is open for the same alert. Work on that one, or resolve it first."
        raise AlertOpenElsewhere(said, incident_id=other.id)
