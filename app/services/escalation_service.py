"""Starts, stops and ends escalations. The incident is locked by the caller."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus, TimelineEventType
from app.crud import crud_assignment, crud_escalation, crud_incident, crud_policy, crud_timeline, crud_unmatched
from app.crud.crud_policy import ActivePolicy
from app.crud.wakeup import wake
from app.models import Escalation, Incident, TimelineEvent
from app.services import counting_service, escalation, escalation_state, policy_matching_service, timeline_service
from app.services.escalation_state import Ended, Event, FirstStart, Progress, Stopped
from app.services.policy_matching_service import matcher_of
from app.services.timeline_service import record

log = structlog.get_logger()

FIRST_CYCLE = 1


def start_matching(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Start the escalation of each matching policy from its first step, in a new cycle of open incidents.

    What no policy matches is marked and recorded: the worker pages the administrators about it.
    """
    matcher = policy_matching_service.matcher(session)
    assigned = crud_assignment.incidents_with_any(session, [incident.id for incident in incidents])
    unmatched = []
    for incident in incidents:
        matching = matcher.matching(facts_of(incident, assigned))
        for policy in matching:
            begin(session, incident, policy, at=at)
        if not matching:
            unmatched.append(incident)
    _mark_unmatched(session, unmatched, at=at)


def first_starts(session: Session, incidents: Sequence[escalation.Facts], *, at: datetime) -> list[list[FirstStart]]:
    """Plan the escalations that the matching policies start on new incidents. Writes nothing."""
    matcher = policy_matching_service.matcher(session)
    return [[_first_start(policy, at) for policy in matcher.matching(facts)] for facts in incidents]


def _first_start(policy: ActivePolicy, at: datetime) -> FirstStart:
    due_at = escalation.first_due(escalation.delays_of(policy.steps), at)
    progress = escalation_state.start(
        None, version_id=policy.version_id, cycle=FIRST_CYCLE, repeat=policy.repeat, due_at=due_at
    )
    return FirstStart(policy.policy_id, policy.name, progress)


def mark_abandoned(session: Session, incidents: Iterable[Incident], *, at: datetime) -> None:
    """Mark the open incidents whose last escalation has just ended, because no policy matches them any more."""
    abandoned = [incident for incident in incidents if _is_abandoned(incident)]
    _mark_unmatched(session, abandoned, at=at)


def _is_abandoned(incident: Incident) -> bool:
    is_followed = any(
        row.cycle == incident.cycle and row.state is not EscalationState.ENDED for row in incident.escalations
    )
    return incident.status is IncidentStatus.OPEN and not incident.is_unmatched and not is_followed


def _mark_unmatched(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Mark and record them. The mark takes one statement, however many there are."""
    if not incidents:
        return
    crud_unmatched.mark(session, incidents, at=at)
    wake(session, "plan")
    counting_service.unmatched(session, len(incidents))
    for incident in incidents:
        description = "No escalation policy matches this incident."
        record(session, incident.id, TimelineEventType.NO_POLICY_MATCHED, description, at=at)
        log.warning("no_policy_matched", incident_id=incident.id, severity=incident.severity, source=incident.source)


def rematch(session: Session, incident: Incident, *, at: datetime) -> None:
    """End the escalations that no longer match, and start those that match only now, after a change of a field.

    Begins only on an open incident. A running escalation is judged by the conditions it began with, whatever was
    edited and whoever was assigned since.
    """
    facts = facts_of(incident, crud_assignment.incidents_with_any(session, [incident.id]))
    active = policy_matching_service.active_policies(session)
    begun = crud_policy.escalating(session, incident.id, incident.cycle)
    kept = {policy.policy_id for policy in matcher_of([*map(_regardless_of_assignees, begun)]).matching(facts)}
    on = {policy.policy_id for policy in active}
    for row in incident.escalations:
        if row.policy_id not in kept:
            reason = "it no longer matches." if row.policy_id in on else "the policy is off."
            end(session, incident, row, at=at, reason=reason)
    if incident.status is IncidentStatus.OPEN:
        _begin_new(session, incident, policy_matching_service.matcher(session).matching(facts), at=at)
        mark_abandoned(session, [incident], at=at)


def _regardless_of_assignees(policy: ActivePolicy) -> ActivePolicy:
    return replace(policy, conditions={name: of for name, of in policy.conditions.items() if name != "assigned"})


def begin_on_open(session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
    """Start the policies that match only now on the incidents that are open. Nothing ends.

    After a change that any alert or responder can make: of the metadata or the assignees.
    """
    are_open = [incident for incident in incidents if incident.status is IncidentStatus.OPEN]
    if not are_open:
        return
    matcher = policy_matching_service.matcher(session)
    assigned = crud_assignment.incidents_with_any(session, [incident.id for incident in are_open])
    for incident in are_open:
        _begin_new(session, incident, matcher.matching(facts_of(incident, assigned)), at=at)


def begin_for_metadata(session: Session, incident_ids: Collection[int], *, at: datetime) -> None:
    """Start the policies that match locked incidents only since their metadata changed. Nothing ends."""
    if incident_ids and policy_matching_service.matcher(session).asks_metadata:
        begin_on_open(session, list(crud_incident.lock_each(session, incident_ids).values()), at=at)


def begin_matching(session: Session, incident: Incident, *, at: datetime) -> None:
    """Start the matching policies that have not started in this cycle, whatever the incident's status."""
    _begin_new(session, incident, _matching(session, incident), at=at)


def _matching(session: Session, incident: Incident) -> Sequence[ActivePolicy]:
    facts = facts_of(incident, crud_assignment.incidents_with_any(session, [incident.id]))
    return policy_matching_service.matcher(session).matching(facts)


def _begin_new(session: Session, incident: Incident, policies: Sequence[ActivePolicy], *, at: datetime) -> None:
    for policy in policies:
        if not _has_begun(incident, policy):
            begin(session, incident, policy, at=at)


def start_policy(session: Session, incidents: Iterable[Incident], policy: ActivePolicy, *, at: datetime) -> None:
    """Start one policy on the incidents that it matches, unless it has already started there."""
    batch = [incident for incident in incidents if not _has_begun(incident, policy)]
    assigned = crud_assignment.incidents_with_any(session, [incident.id for incident in batch])
    matcher = matcher_of([policy])
    matching = [incident for incident in batch if matcher.matching(facts_of(incident, assigned))]
    _begin_first(session, [incident for incident in matching if _row_of(incident, policy) is None], policy, at=at)
    for incident in matching:
        if _row_of(incident, policy) is not None:
            begin(session, incident, policy, at=at)


def _begin_first(session: Session, incidents: Sequence[Incident], policy: ActivePolicy, *, at: datetime) -> None:
    """Start a policy on incidents that have never followed it, with one statement for each table."""
    if not incidents:
        return
    due_at = escalation.first_due(escalation.delays_of(policy.steps), at)
    rows = []
    for incident in incidents:
        _note_match(incident)
        progress = escalation_state.start(
            None, version_id=policy.version_id, cycle=incident.cycle, repeat=policy.repeat, due_at=due_at
        )
        own = {"incident_id": incident.id, "policy_id": policy.policy_id, "created_at": at, "updated_at": at}
        rows.append({**own, **{field.name: getattr(progress, field.name) for field in fields(Progress)}})
    crud_escalation.insert_all(session, rows)
    crud_timeline.insert_all(session, [_started(incident, policy, due_at, at=at) for incident in incidents])
    if due_at <= at:
        wake(session, "plan")


def _has_begun(incident: Incident, policy: ActivePolicy) -> bool:
    """True if the policy has started in this cycle. Earlier cycles do not count."""
    rows = (row for row in incident.escalations if row.policy_id == policy.policy_id)
    return any(row.cycle == incident.cycle and row.state is not EscalationState.ENDED for row in rows)


def stop(incident: Incident) -> None:
    """Stop all escalations: somebody acknowledged, snoozed or resolved. `crud_response` writes the same for many."""
    incident.unmatched_due_at = None
    for row in incident.escalations:
        move(row, Stopped())


def end(session: Session, incident: Incident, row: Escalation, *, at: datetime, reason: str) -> None:
    """End an escalation whose policy no longer applies. The policy may start again, with a new loop."""
    was_running = row.state is EscalationState.RUNNING
    move(row, Ended())
    if was_running:
        description = f"Escalation by policy “{crud_policy.name(session, row.policy_id)}” ended: {reason}"
        record(session, incident.id, TimelineEventType.ESCALATION_ENDED, description, at=at, policy_id=row.policy_id)


def restart(session: Session, incident: Incident, row: Escalation, *, at: datetime) -> None:
    """Start a new loop of a finished escalation, with the same steps."""
    version = row.version
    same = ActivePolicy(
        version.policy_id, version.policy.name, version.id, version.conditions, version.steps, version.repeat
    )
    begin(session, incident, same, at=at)


def begin_newer(session: Session, incident: Incident, row: Escalation, *, at: datetime) -> bool:
    """Restart a failing escalation with its policy's current version. False if that is the same or does not match."""
    newer = crud_policy.current(session, row.policy_id)
    facts = facts_of(incident, crud_assignment.incidents_with_any(session, [incident.id]))
    if newer.version_id == row.version_id or not matcher_of([_regardless_of_assignees(newer)]).matching(facts):
        return False
    begin(session, incident, newer, at=at)
    return True


def begin(session: Session, incident: Incident, policy: ActivePolicy, *, at: datetime) -> None:
    """Start a policy's escalation of an incident, or a new loop of it."""
    _note_match(incident)
    due_at = escalation.first_due(escalation.delays_of(policy.steps), at)
    row = _row_of(incident, policy)
    before = progress_of(row) if row else None
    if row is None:
        row = Escalation(incident_id=incident.id, policy_id=policy.policy_id)
        incident.escalations.append(row)
    _put(
        row,
        escalation_state.start(
            before, version_id=policy.version_id, cycle=incident.cycle, repeat=policy.repeat, due_at=due_at
        ),
    )
    if due_at <= at:
        wake(session, "plan")
    crud_timeline.stage(session, TimelineEvent(**_started(incident, policy, due_at, at=at)))


def _row_of(incident: Incident, policy: ActivePolicy) -> Escalation | None:
    return next((row for row in incident.escalations if row.policy_id == policy.policy_id), None)


def _note_match(incident: Incident) -> None:
    """A policy matches: the administrators need not be paged because of that."""
    incident.is_unmatched, incident.unmatched_due_at = False, None


def _started(incident: Incident, policy: ActivePolicy, due_at: datetime, *, at: datetime) -> dict[str, Any]:
    description = f"Escalation by policy “{policy.name}” started."
    data = {"policy_id": policy.policy_id, "first_step_due_at": due_at.isoformat()}
    return timeline_service.entry(incident.id, TimelineEventType.ESCALATION_STARTED, description, at=at, data=data)


def progress_of(row: Escalation) -> Progress:
    """Read the progress of an escalation."""
    return Progress(**{field.name: getattr(row, field.name) for field in fields(Progress)})


def move(row: Escalation, event: Event) -> None:
    """Apply an event to an escalation whose incident is locked. This is the only way its progress changes."""
    _put(row, escalation_state.transition(progress_of(row), event))


def _put(row: Escalation, progress: Progress) -> None:
    for field in fields(Progress):
        setattr(row, field.name, getattr(progress, field.name))


def facts_of(incident: Incident, assigned: set[int]) -> escalation.Facts:
    """Read what conditions can ask about. `assigned` has the ids of incidents with assignees."""
    return escalation.Facts(
        severity=incident.severity,
        service=incident.service,
        source=incident.source,
        is_assigned=incident.assigned_to is not None or incident.id in assigned,
        metadata=incident.metadata_,
    )
