"""Fires the steps of escalations."""

import time
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, EventStatus, IncidentStatus, NotificationKind, TimelineEventType
from app.crud import crud_escalation, crud_event, crud_incident, crud_policy
from app.crud.base import now, wait_briefly
from app.db.session import is_lock_timeout
from app.models import Escalation, EscalationEvent, Incident
from app.services import escalation, escalation_service, notification_service
from app.services.contacts import recipient_service
from app.services.escalation import Decision, Position
from app.services.policies import action_service
from app.services.policies.action_service import Context, StepResult
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

LONGEST_BATCH_SECONDS = 1.0  # what an acknowledgement may have to wait for
LONGEST_WAIT_SECONDS = 1.0  # for what somebody holds: the step is put aside, and the others fire
FAILURES_UNTIL_ADMINS = 2
NOTE = "You are paged as an administrator: no policy reaches anybody else for this incident."
FAILED_NOTE = "You are paged as an administrator: a policy for this incident fails. The service's log says why."
LOOK_AGAIN_SECONDS = 0.1  # for a step that is due, and whose incident somebody holds


@dataclass(frozen=True, slots=True)
class Fired:
    """Where an escalation stood when its step fired."""

    cycle: int
    loop: int
    step: int


def run_due(session: Session, paging: Paging, *, limit: int) -> int:
    """Fire a batch of due steps. Returns how many were taken; one that fails is put aside and holds up no other.

    A batch that takes long ends early: its incidents are locked until then.
    """
    at, began = now(session), time.monotonic()
    wait_briefly(session, LONGEST_WAIT_SECONDS)
    due = crud_escalation.claim_due(session, at=at, limit=limit)
    for taken, (row, incident) in enumerate(due, start=1):
        # A failure undoes the row's own savepoint, and with it what the session knew: keep what names it.
        row_id, incident_id = row.id, row.incident_id
        try:
            with session.begin_nested():
                _run(session, incident, row, paging, at=at)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one policy must not stop the others
            quarantine(session, row_id, incident_id, paging, error, at=at)
        if time.monotonic() - began > LONGEST_BATCH_SECONDS:
            return taken
    return len(due)


def seconds_to_next(session: Session, *, within: float) -> float | None:
    """In how many seconds to look again because a step is due then, if it is within so many."""
    due_at = crud_escalation.next_due(session)
    seconds = (due_at - now(session)).total_seconds() if due_at else within
    return max(seconds, LOOK_AGAIN_SECONDS) if seconds < within else None


def _run(session: Session, incident: Incident, row: Escalation, paging: Paging, *, at: datetime) -> None:
    policy = row.version.policy
    if not is_still_due(row, at):
        return  # a step before it in this batch has ended it, or begun it anew
    if not policy.is_active or policy.deleted_at is not None:
        escalation_service.end(session, incident, row, now=at, reason="the policy is off.")
    elif incident.status is not IncidentStatus.OPEN or incident.cycle != row.cycle:
        row.state, row.next_run_at = EscalationState.STOPPED, None
    elif row.quarantined_at is None or not escalation_service.begin_newer(session, incident, row, now=at):
        fire(session, incident, row, paging, at=at)


def is_still_due(row: Escalation, at: datetime) -> bool:
    """False also of a row that has begun anew with another version: its step is taken from the next look."""
    return row.next_run_at is not None and row.next_run_at <= at and row.version.id == row.version_id


def fire(
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
    is_manual = kind is NotificationKind.MANUAL_PAGE
    context = Context(session, incident, row, paging, at, is_manual=is_manual)
    result = action_service.perform(context, row.version.steps[row.step]["actions"])
    event = crud_event.add(session, _event(row, fired, result, at=at))
    is_exempt = is_manual or incident.status is not status_before
    notification_service.enqueue(
        session,
        incident,
        result.planned,
        at=at,
        event_id=event.id,
        kind=kind,
        is_exempt=is_exempt,
    )
    notification_service.enqueue_calls(
        session, incident, result.calls, at=at, event_id=event.id, policy_id=row.policy_id
    )
    _record_step(session, incident, row, fired, result, at=at)
    row.attempts, row.quarantined_at, row.last_error = 0, None, None
    if (row.cycle, row.loop) == (fired.cycle, fired.loop) and row.state is not EscalationState.ENDED:
        row.has_reached = row.has_reached or bool(result.has_reached)
        _reschedule(session, incident, row, result, paging, event, at=at, kind=kind)
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
    kind: NotificationKind,
) -> None:
    """Set what follows. If the step itself acknowledged or resolved the incident, nothing is due, and nobody missed."""
    position = Position(row.loop, row.step, row.repeats_left)
    delays = escalation.delays_of(row.version.steps)
    decision = escalation.evaluate(delays, position, at, has_reached=result.has_reached is not False)
    row.unreachable_since = None if row.has_reached else row.unreachable_since
    if decision.ends_loop and not row.has_reached and row.state is EscalationState.RUNNING:
        if page_admins(session, incident, paging, at=at, event=event, kind=kind):
            row.unreachable_since = None
        else:
            say_unreachable(session, incident, at=at)
            row.unreachable_since = row.unreachable_since or at
            decision = escalation.retry_unreachable(position, at)
    _settle(row, decision)


def alarm_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """No page arrived anywhere: say so, and do not wait longer than a while with what is to be tried next.

    A finished escalation begins again; of one that goes on, the next step is due by then.
    """
    say_unreachable(session, incident, at=at)
    if incident.status is not IncidentStatus.OPEN:
        return
    for row in crud_escalation.of_incident(session, incident.id):
        row.unreachable_since = row.unreachable_since or at
        if row.state is EscalationState.FINISHED and row.cycle == incident.cycle:
            row.state = EscalationState.RUNNING
            _settle(row, escalation.retry_unreachable(Position(row.loop, row.step, 0), at))
        elif row.next_run_at is not None and row.cycle == incident.cycle:
            row.next_run_at = min(row.next_run_at, at + escalation.UNREACHABLE_RETRY)


def say_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """Alarm: an incident has come to nobody."""
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
    row.next_run_at = decision.due_at if row.state is EscalationState.RUNNING else None


def page_admins(
    session: Session,
    incident: Incident,
    paging: Paging,
    *,
    at: datetime,
    event: EscalationEvent | None,
    kind: NotificationKind,
    note: str = NOTE,
) -> bool:
    """Page every administrator. False if none can be reached."""
    planned = notification_service.plan(
        session, incident, recipient_service.admins(session, paging), paging, at=at, named=None, note=note
    )
    is_exempt = kind is NotificationKind.MANUAL_PAGE
    event_id = event.id if event else None
    notification_service.enqueue(session, incident, planned, at=at, event_id=event_id, kind=kind, is_exempt=is_exempt)
    return bool(planned.pages)


def quarantine(
    session: Session, row_id: int, incident_id: int, paging: Paging, error: Exception, *, at: datetime
) -> None:
    """Put a failing escalation aside, to be tried again later and later. Once it fails again, the admins are paged."""
    log.error("escalation_quarantined", incident_id=incident_id, escalation_id=row_id, exc_info=error)
    row = crud_escalation.get(session, row_id)
    incident = crud_incident.get_for_update(session, incident_id)
    if row is None or incident is None:
        return
    is_new = row.quarantined_at is None
    row.attempts += not is_lock_timeout(error)  # what somebody holds is not for long
    row.quarantined_at = row.quarantined_at or at
    row.last_error = f"{type(error).__name__}: {error}"[:2000]
    if row.state is EscalationState.RUNNING:
        row.next_run_at = escalation.quarantine_until(max(row.attempts, 1), at)
    if is_new:
        name = crud_policy.name(session, row.policy_id)
        description = f"Escalation by policy “{name}” failed and is tried again later."
        record(
            session, incident.id, TimelineEventType.ESCALATION_QUARANTINED, description, at=at, policy_id=row.policy_id
        )
    if row.attempts == FAILURES_UNTIL_ADMINS and not is_lock_timeout(error) and incident.status is IncidentStatus.OPEN:
        _page_admins_safely(session, incident, paging, at=at)
    session.flush()


def _page_admins_safely(session: Session, incident: Incident, paging: Paging, *, at: datetime) -> None:
    """What keeps a step from being fired may keep this from being done as well: the alarm stands all the same."""
    incident_id = incident.id
    try:
        with session.begin_nested():
            kind = NotificationKind.PAGE
            page_admins(session, incident, paging, at=at, event=None, kind=kind, note=FAILED_NOTE)
    except Exception:
        log.exception("admins_not_paged", incident_id=incident_id)
