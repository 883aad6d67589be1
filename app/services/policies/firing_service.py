"""Fires steps: performs their actions, records them together, and schedules what follows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud import crud_notification
from app.models import Escalation
from app.services import counting_service, escalation, escalation_service, notification_service
from app.services.escalation_state import Recovered, StepFired, needs_last_resort
from app.services.notification_service import Origin, Outgoing
from app.services.policies import action_service, last_resort_service, step_record_service
from app.services.policies.situation import Context, Situation
from app.services.policies.step_record_service import Fired, Performed

ENDED = (IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED)


def is_still_due(row: Escalation, at: datetime) -> bool:
    """False also if it restarted with another version: the next claim loads that version's steps."""
    return row.next_run_at is not None and row.next_run_at <= at and row.version.id == row.version_id


def actions_of(row: Escalation) -> Sequence[Mapping[str, Any]]:
    """The actions of the step at which an escalation stands. Raises if the step is malformed."""
    actions: Sequence[Mapping[str, Any]] = row.version.steps[row.step]["actions"]
    return actions


def fire(situation: Situation, row: Escalation) -> None:
    """Perform the row's step, record it and schedule what follows, unless the step itself started a new cycle."""
    fire_each([Context.of(situation, row)], within=0)


def fire_each(contexts: Sequence[Context], *, within: float) -> int:
    """As `fire`, for steps of different incidents: what they write takes a few statements, however many they are.

    Returns how many fired: performs the actions of the first one and then of others for so many seconds. Steps that
    page many people are a lot of pages to write.
    """
    session = contexts[0].session
    steps = _perform_first(contexts, within=within)
    session.flush()  # what actions recorded comes first in the timelines
    event_ids = step_record_service.add_events(session, steps)
    notification_service.enqueue_each(session, [_outgoing(*each) for each in zip(steps, event_ids, strict=True)])
    for step, event_id in zip(steps, event_ids, strict=True):
        notification_service.enqueue_calls(
            session,
            step.context.incident,
            step.result.calls,
            at=step.context.at,
            event_id=event_id,
            policy_id=step.row.policy_id,
        )
    step_record_service.tell(session, steps)
    due = [step.fired.due_at for step in steps if step.fired.due_at is not None and not step.context.is_manual]
    counting_service.steps_fired(session, due, at=contexts[0].at)
    for step, event_id in zip(steps, event_ids, strict=True):
        _follow_up(step, event_id)
    session.flush()
    return len(steps)


def _perform_first(contexts: Sequence[Context], *, within: float) -> list[Performed]:
    until = time.monotonic() + within
    steps = [_perform(contexts[0])]
    for context in contexts[1:]:
        if time.monotonic() >= until:
            break
        steps.append(_perform(context))
    return steps


def _perform(context: Context) -> Performed:
    row, status_before = context.escalation, context.incident.status
    fired = Fired(row.cycle, row.loop, row.step, row.next_run_at)
    result = action_service.perform(context, actions_of(row))
    return Performed(context, fired, result, status_before)


def _outgoing(step: Performed, event_id: int) -> Outgoing:
    """The pages of a step. They are sent whatever happens to the incident if the step itself changed its status."""
    is_exempt = step.context.is_manual or step.has_changed_status
    return Outgoing(step.context.about, step.result.planned, Origin(event_id, step.context.kind, is_exempt))


def _follow_up(step: Performed, event_id: int) -> None:
    """Page the administrators if the step ended the incident in vain, and schedule the next step."""
    row, fired = step.row, step.fired
    if _has_ended_without_page(step):
        name = row.version.policy.name
        last_resort_service.tell_ended_without_page(step.context, name, event_id=event_id)
    escalation_service.move(row, Recovered())
    if (row.cycle, row.loop) == (fired.cycle, fired.loop) and row.state is not EscalationState.ENDED:
        _reschedule(step, event_id)


def _has_ended_without_page(step: Performed) -> bool:
    """True if the step ended an open incident, pages nobody itself, and no page of this cycle was accepted.

    The step's own pages are sent whatever the status, and fall back to the administrators.
    """
    incident = step.context.incident
    has_ended = step.status_before is IncidentStatus.OPEN and incident.status in ENDED
    if not has_ended or step.result.planned.pages:
        return False
    return not crud_notification.has_accepted_page(step.context.session, incident.id, incident.cycle)


def _reschedule(step: Performed, event_id: int) -> None:
    """Schedule what follows. If nobody was reached and no later step pages anybody, page the administrators."""
    context, row = step.context, step.row
    steps = row.version.steps
    changing = action_service.changing_steps(steps)
    fired = StepFired(escalation.delays_of(steps), context.at, step.result.has_reached, changing=changing)
    if needs_last_resort(escalation_service.progress_of(row), fired):
        are_paged = last_resort_service.page_admins(context, event_id=event_id)
        if not are_paged:
            last_resort_service.say_unreachable(context.session, context.incident, at=context.at)
        fired = replace(fired, are_admins_paged=are_paged)
    escalation_service.move(row, fired)
