"""Fires the steps of escalations."""

import time
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud import crud_escalation, crud_notification
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import Escalation, EscalationEvent
from app.services import escalation, escalation_service, notification_service
from app.services.escalation_state import Recovered, StepFired, Stopped, needs_last_resort
from app.services.notification_service import Origin
from app.services.policies import action_service, last_resort_service, quarantine_service, step_record_service
from app.services.policies.actions.registry import StepResult
from app.services.policies.situation import Context, Situation
from app.services.policies.step_record_service import Fired
from app.services.ports import Paging

LONGEST_BATCH_SECONDS = 1.0  # the longest an acknowledgement may have to wait
LONGEST_WAIT_SECONDS = 1.0  # for a lock; after that the step is quarantined, and the others fire
ENDED = (IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED)
LOOK_AGAIN_SECONDS = 0.1  # for a due step whose incident is locked


def run_due(session: Session, paging: Paging, *, limit: int) -> int:
    """Fire a batch of due steps. Returns how many were taken. A step that fails is quarantined and delays no other.

    A slow batch ends early, because its incidents stay locked until it ends.
    """
    at, began = now(session), time.monotonic()
    wait_briefly(session, LONGEST_WAIT_SECONDS)
    due = crud_escalation.claim_due(session, at=at, limit=limit)
    for taken, (row, incident) in enumerate(due, start=1):
        # A failure rolls back the row's savepoint and expires the row: keep its ids.
        row_id, incident_id = row.id, row.incident_id
        try:
            with session.begin_nested():
                _run(Situation(session=session, incident=incident, paging=paging, at=at), row)
        except Exception as error:  # noqa: BLE001 - one broken policy must not stop the others
            quarantine_service.quarantine(session, row_id, incident_id, paging, error, at=at)
        if time.monotonic() - began > LONGEST_BATCH_SECONDS:
            return taken
    return len(due)


def seconds_to_next(session: Session, *, within: float) -> float | None:
    """Seconds until the next step is due; None if no step is due within the limit."""
    due_at = crud_escalation.next_due(session)
    seconds = (due_at - now(session)).total_seconds() if due_at else within
    return max(seconds, LOOK_AGAIN_SECONDS) if seconds < within else None


def _run(situation: Situation, row: Escalation) -> None:
    session, incident, at = situation.session, situation.incident, situation.at
    policy = row.version.policy
    if not is_still_due(row, at):
        return  # an earlier step in this batch has ended or restarted it
    if not policy.is_active or policy.deleted_at is not None:
        escalation_service.end(session, incident, row, at=at, reason="the policy is off.")
        escalation_service.mark_abandoned(session, [incident], at=at)
    elif incident.status is not IncidentStatus.OPEN or incident.cycle != row.cycle:
        escalation_service.move(row, Stopped())
    elif row.quarantined_at is None or not escalation_service.begin_newer(session, incident, row, at=at):
        fire(situation, row)


def is_still_due(row: Escalation, at: datetime) -> bool:
    """False also if it restarted with another version: the next claim loads that version's steps."""
    return row.next_run_at is not None and row.next_run_at <= at and row.version.id == row.version_id


def fire(situation: Situation, row: Escalation) -> None:
    """Perform the row's step, record it and schedule what follows, unless the step itself started a new cycle."""
    status_before = situation.incident.status
    fired = Fired(row.cycle, row.loop, row.step)
    result = action_service.perform(Context.of(situation, row), row.version.steps[row.step]["actions"])
    event = step_record_service.add_event(situation, row, fired, result)
    is_exempt = situation.is_manual or situation.incident.status is not status_before
    _enqueue(situation, result, event, is_exempt=is_exempt)
    step_record_service.tell(situation, row, fired, result)
    if _has_ended_without_page(situation, status_before, result):
        name = row.version.policy.name
        last_resort_service.tell_ended_without_page(situation, name, event_id=event.id)
    escalation_service.move(row, Recovered())
    if (row.cycle, row.loop) == (fired.cycle, fired.loop) and row.state is not EscalationState.ENDED:
        _reschedule(situation, row, result, event)
        situation.session.flush()


def _has_ended_without_page(situation: Situation, status_before: IncidentStatus, result: StepResult) -> bool:
    """True if the step ended an open incident, pages nobody itself, and no page of this cycle was accepted.

    The step's own pages are sent whatever the status, and fall back to the administrators.
    """
    incident = situation.incident
    has_ended = status_before is IncidentStatus.OPEN and incident.status in ENDED
    if not has_ended or result.planned.pages:
        return False
    return not crud_notification.has_accepted_page(situation.session, incident.id, incident.cycle)


def _enqueue(situation: Situation, result: StepResult, event: EscalationEvent, *, is_exempt: bool) -> None:
    """Add the step's pages and webhook calls to the outbox."""
    session, incident, at = situation.session, situation.incident, situation.at
    origin = Origin(event.id, situation.kind, is_exempt)
    notification_service.enqueue(session, situation.about, result.planned, origin)
    notification_service.enqueue_calls(
        session, incident, result.calls, at=at, event_id=event.id, policy_id=event.policy_id
    )


def _reschedule(situation: Situation, row: Escalation, result: StepResult, event: EscalationEvent) -> None:
    """Schedule what follows. If nobody was reached and no later step pages anybody, page the administrators."""
    steps = row.version.steps
    changing = action_service.changing_steps(steps)
    fired = StepFired(escalation.delays_of(steps), situation.at, result.has_reached, changing=changing)
    if needs_last_resort(escalation_service.progress_of(row), fired):
        are_paged = last_resort_service.page_admins(situation, event_id=event.id)
        if not are_paged:
            last_resort_service.say_unreachable(situation.session, situation.incident, at=situation.at)
        fired = replace(fired, are_admins_paged=are_paged)
    escalation_service.move(row, fired)
