"""Fires the steps of escalations: those that are due, and those that somebody asks for now."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, EventStatus, IncidentStatus, NotificationKind, TimelineEventType
from app.crud import crud_escalation, crud_event, crud_incident
from app.crud.base import now
from app.models import Escalation, EscalationEvent, Incident, User
from app.services import (
    action_service,
    collaboration_service,
    escalation,
    escalation_service,
    incident_service,
    notification_service,
    recipient_service,
)
from app.services.action_service import Context, StepResult
from app.services.escalation import Decision, Position
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

MANUAL_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Fired:
    """Where an escalation stood when its step fired."""

    cycle: int
    loop: int
    step: int


def run_due(session: Session, paging: Paging, *, limit: int) -> int:
    """Fire a batch of due steps. Returns how many were taken; one that fails is put aside and holds up no other."""
    at = now(session)
    due = crud_escalation.claim_due(session, at=at, limit=limit)
    for row, incident in due:
        # A failure undoes the row's own savepoint, and with it what the session knew: keep what names it.
        row_id, incident_id = row.id, row.incident_id
        try:
            with session.begin_nested():
                _run(session, incident, row, paging, at=at)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one policy must not stop the others
            _quarantine(session, row_id, incident_id, error, at=at)
    return len(due)


def seconds_to_next(session: Session, *, within: float) -> float | None:
    """In how many seconds the next step is due, if it is within so many."""
    due_at = crud_escalation.next_due(session)
    seconds = (due_at - now(session)).total_seconds() if due_at else within
    return max(seconds, 0.0) if seconds < within else None


def escalate_now(session: Session, incident_id: int, paging: Paging, *, by: User) -> Incident:
    """Fire the next step of every policy that matches, or did when its escalation began; else page the admins.

    A resolved incident does not change, a snoozed one opens, an acknowledged one stays so. A second call within 10 s
    changes nothing. Raises NotFound, PermissionDenied.
    """
    incident = incident_service.locked(session, incident_id)
    collaboration_service.require_responder(session, incident, by)
    return escalate_locked(session, incident, paging, by=by)


def escalate_locked(
    session: Session, incident: Incident, paging: Paging, *, by: User | None, because: str = ""
) -> Incident:
    """As `escalate_now`, for whom the caller has allowed it."""
    at = now(session)
    if incident.status is IncidentStatus.RESOLVED:
        return incident
    if incident.escalated_at is not None and at < incident.escalated_at + MANUAL_PAUSE:
        return incident
    incident.escalated_at = at
    description = f"Escalated by hand{because}."
    record(session, incident.id, TimelineEventType.ESCALATED_MANUALLY, description, at=at, by=by)
    log.info("incident_escalated_manually", incident_id=incident.id)
    _begin_matching(session, incident, at=at)
    rows = [row for row in crud_escalation.of_incident(session, incident.id) if _goes_on(row, incident)]
    for row in rows:
        _fire_manually(session, incident, row, paging, at=at)
    if not rows:
        _page_admins(session, incident, paging, at=at, event=None, kind=NotificationKind.MANUAL_PAGE)
    session.flush()
    return incident


def _run(session: Session, incident: Incident, row: Escalation, paging: Paging, *, at: datetime) -> None:
    policy = row.version.policy
    if not policy.is_active or policy.deleted_at is not None:
        escalation_service.end(session, incident, row, now=at, reason="the policy is off.")
    elif incident.status is not IncidentStatus.OPEN or incident.cycle != row.cycle:
        row.state, row.next_run_at = EscalationState.STOPPED, None
    else:
        _fire(session, incident, row, paging, at=at)


def _begin_matching(session: Session, incident: Incident, *, at: datetime) -> None:
    """Give every matching policy a row that a step can be fired from. A snoozed incident opens."""
    if incident.status is IncidentStatus.SNOOZED:
        incident_service.end_snooze(session, incident, at=at)
        incident_service.start_new_cycle(session, [incident], at=at)
    escalation_service.begin_matching(session, incident, now=at)
    session.flush()


def _goes_on(row: Escalation, incident: Incident) -> bool:
    """True if it has begun in this cycle, and its policy has neither been switched off nor ceased to match."""
    return row.cycle == incident.cycle and row.state is not EscalationState.ENDED


def _fire_manually(session: Session, incident: Incident, row: Escalation, paging: Paging, *, at: datetime) -> None:
    if row.state is EscalationState.FINISHED:
        escalation_service.restart(session, incident, row, now=at)
    elif row.state is EscalationState.STOPPED:
        row.state, row.next_run_at = EscalationState.RUNNING, at
    _fire(session, incident, row, paging, at=at, kind=NotificationKind.MANUAL_PAGE)
    if incident.status is not IncidentStatus.OPEN and row.state is EscalationState.RUNNING:
        row.state, row.next_run_at = EscalationState.STOPPED, None


def _fire(
    session: Session,
    incident: Incident,
    row: Escalation,
    paging: Paging,
    *,
    at: datetime,
    kind: NotificationKind = NotificationKind.PAGE,
) -> None:
    """Perform the row's step, keep its event, and set what follows; a cycle that the step itself began follows it."""
    status_before, fired = incident.status, Fired(row.cycle, row.loop, row.step)
    steps = row.version.steps
    context = Context(session, incident, row, paging, at, is_manual=kind is NotificationKind.MANUAL_PAGE)
    result = action_service.perform(context, steps[row.step]["actions"])
    event = crud_event.add(session, _event(row, fired, result, at=at))
    has_changed_status = incident.status is not status_before
    notification_service.enqueue(
        session,
        incident,
        result.planned,
        at=at,
        event_id=event.id,
        kind=kind,
        is_exempt=kind is NotificationKind.MANUAL_PAGE or has_changed_status,
    )
    notification_service.enqueue_calls(
        session, incident, result.calls, at=at, event_id=event.id, policy_id=row.policy_id
    )
    _record_step(session, incident, row, fired, result, at=at)
    row.attempts, row.quarantined_at, row.last_error = 0, None, None
    if (row.cycle, row.loop) != (fired.cycle, fired.loop):
        return
    row.has_reached = row.has_reached or bool(result.has_reached)
    _reschedule(session, incident, row, result, paging, event, at=at)
    session.flush()


def _event(row: Escalation, fired: Fired, result: StepResult, *, at: datetime) -> EscalationEvent:
    return EscalationEvent(
        incident_id=row.incident_id,
        policy_id=row.policy_id,
        cycle=fired.cycle,
        loop=fired.loop,
        step=fired.step,
        status=EventStatus.FAILED if result.has_failed else EventStatus.COMPLETED,
        triggered_at=at,
        completed_at=at,
        metadata_=result.metadata(),
    )


def _record_step(
    session: Session, incident: Incident, row: Escalation, fired: Fired, result: StepResult, *, at: datetime
) -> None:
    policy = row.version.policy
    description = f"Step {fired.step + 1} of policy “{policy.name}” fired."
    data = {"policy_id": row.policy_id, "step": fired.step, "loop": fired.loop, **result.metadata()}
    record(session, incident.id, TimelineEventType.ESCALATION_STEP, description, at=at, **data)
    log.info(
        "escalation_step_fired",
        incident_id=incident.id,
        policy_id=row.policy_id,
        step=fired.step,
        loop=fired.loop,
        pages=len(result.planned.pages),
    )


def _reschedule(
    session: Session,
    incident: Incident,
    row: Escalation,
    result: StepResult,
    paging: Paging,
    event: EscalationEvent,
    *,
    at: datetime,
) -> None:
    if row.state is not EscalationState.RUNNING:  # the step itself acknowledged or resolved the incident
        return
    position = Position(row.loop, row.step, row.repeats_left)
    delays = escalation.delays_of(row.version.steps)
    decision = escalation.evaluate(delays, position, at, has_reached=result.has_reached is not False)
    row.unreachable_since = None if row.has_reached else row.unreachable_since
    if decision.ends_loop and not row.has_reached:
        if _page_admins(session, incident, paging, at=at, event=event, kind=NotificationKind.PAGE):
            row.unreachable_since = None
        else:
            _say_unreachable(session, incident, at=at)
            row.unreachable_since = row.unreachable_since or at
            decision = escalation.retry_unreachable(position, at)
    _settle(row, decision)


def alarm_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """No page of a finished escalation arrived anywhere: say so, and fire its last step again in a while."""
    _say_unreachable(session, incident, at=at)
    for row in crud_escalation.of_incident(session, incident.id):
        row.unreachable_since = row.unreachable_since or at
        if row.state is EscalationState.FINISHED and row.cycle == incident.cycle:
            row.state = EscalationState.RUNNING
            _settle(row, escalation.retry_unreachable(Position(row.loop, row.step, 0), at))


def _say_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    description = "Nobody could be paged, not even an administrator."
    record(session, incident.id, TimelineEventType.NOBODY_REACHABLE, description, at=at)
    log.error("nobody_reachable", incident_id=incident.id)


def _settle(row: Escalation, decision: Decision) -> None:
    if decision.due_at is None:
        row.state, row.next_run_at = EscalationState.FINISHED, None
        return
    if decision.ends_loop:
        row.has_reached = False
    row.loop, row.step, row.repeats_left = (
        decision.position.loop,
        decision.position.step,
        decision.position.repeats_left,
    )
    row.next_run_at = decision.due_at


def _page_admins(
    session: Session,
    incident: Incident,
    paging: Paging,
    *,
    at: datetime,
    event: EscalationEvent | None,
    kind: NotificationKind,
) -> bool:
    note = "You are paged as an administrator: no policy reaches anybody else for this incident."
    planned = notification_service.plan(
        session, incident, recipient_service.admins(session, paging), paging, at=at, named=None, note=note
    )
    is_exempt = kind is NotificationKind.MANUAL_PAGE
    event_id = event.id if event else None
    notification_service.enqueue(session, incident, planned, at=at, event_id=event_id, kind=kind, is_exempt=is_exempt)
    return bool(planned.pages)


def _quarantine(session: Session, row_id: int, incident_id: int, error: Exception, *, at: datetime) -> None:
    """Put a failing escalation aside, to be tried again later and later."""
    log.error("escalation_quarantined", incident_id=incident_id, escalation_id=row_id, exc_info=error)
    row = crud_escalation.get(session, row_id)
    incident = crud_incident.get_for_update(session, incident_id)
    if row is None or incident is None:
        return
    is_new = row.quarantined_at is None
    row.attempts += 1
    row.quarantined_at = row.quarantined_at or at
    row.last_error = f"{type(error).__name__}: {error}"[:2000]
    row.next_run_at = escalation.quarantine_until(row.attempts, at)
    if is_new:
        description = f"Escalation by policy {row.policy_id} failed and is tried again later."
        record(
            session, incident.id, TimelineEventType.ESCALATION_QUARANTINED, description, at=at, policy_id=row.policy_id
        )
    session.flush()
