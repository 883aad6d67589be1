"""Rolls out a policy that is new, switched on, switched off or deleted to the open incidents."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus
from app.crud import crud_incident, crud_policy
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import EscalationPolicy, Incident
from app.services import escalation_service

log = structlog.get_logger()

ROLLOUT_BATCH = 500
SHOWN = 10
FIRST_ID = 0
LAST_ID = 2**31 - 1


def start(session: Session, policy: EscalationPolicy, *, at: datetime, batch: int = ROLLOUT_BATCH) -> None:
    """Do the first batch now, and let the worker go over all incidents again after this is committed.

    Until then, this transaction and one that opens an incident cannot see each other's changes.
    """
    policy.rollout_after, policy.rollout_locked = FIRST_ID, []
    _process(session, policy, set(_next_incidents(session, policy, batch=batch)), at=at)
    session.flush()


def advance(session: Session, contended: set[int], *, batch: int = ROLLOUT_BATCH) -> int:
    """Roll out one policy to the next batch of incidents. Returns 1, or 0 if there is nothing to do now.

    Never waits for a lock. A policy that cannot proceed because of locks is added to `contended` and skipped.
    """
    wait_briefly(session)
    policy = crud_policy.claim_rolling_out(session, excluding=contended)
    if policy is None:
        return 0
    is_new = policy.rollout_after == FIRST_ID
    is_clear = not is_new or crud_policy.wait_for_readers(session)
    if not (is_clear and _roll_out(session, policy, at=now(session), batch=batch)):
        contended.add(policy.id)
        incident_ids = policy.rollout_locked[:SHOWN]
        log.info("policy_rollout_lock_contended", policy_id=policy.id, incident_ids=incident_ids)
    return 1


def _roll_out(session: Session, policy: EscalationPolicy, *, at: datetime, batch: int) -> bool:
    """Process the next incidents; after the last one, those that were locked. False if they still are."""
    window = _next_incidents(session, policy, batch=batch)
    ids = set(window or policy.rollout_locked[:batch])
    free = _process(session, policy, ids, at=at)
    still_locked = sorted(ids - free)
    policy.rollout_locked = [*(id_ for id_ in policy.rollout_locked if id_ not in ids), *still_locked]
    policy.rollout_after = _next_place(policy, window, batch=batch)
    session.flush()
    return bool(window or free or not policy.rollout_locked)


def _process(session: Session, policy: EscalationPolicy, ids: set[int], *, at: datetime) -> set[int]:
    """Start or end the policy's escalations on those of these incidents that nobody has locked. Returns their ids."""
    free = crud_incident.lock_available(session, ids)
    if _is_on(policy):
        _start_on(session, policy, free.values(), at=at)
    else:
        _end_on(session, policy, free.values(), at=at)
    return set(free)


def _is_on(policy: EscalationPolicy) -> bool:
    return policy.is_active and policy.deleted_at is None


def _next_incidents(session: Session, policy: EscalationPolicy, *, batch: int) -> Sequence[int]:
    after = policy.rollout_after or FIRST_ID
    if _is_on(policy):
        return crud_incident.open_after(session, after, limit=batch)
    return crud_incident.escalated_by_after(session, policy.id, after, limit=batch)


def _next_place(policy: EscalationPolicy, window: Sequence[int], *, batch: int) -> int | None:
    """The id after which the rollout continues; None once it has reached every incident."""
    if len(window) == batch:
        return window[-1]
    return LAST_ID if policy.rollout_locked else None


def _start_on(session: Session, policy: EscalationPolicy, incidents: Iterable[Incident], *, at: datetime) -> None:
    still_open = [incident for incident in incidents if incident.status is IncidentStatus.OPEN]
    escalation_service.start_policy(session, still_open, crud_policy.current(session, policy.id), at=at)


def _end_on(session: Session, policy: EscalationPolicy, incidents: Collection[Incident], *, at: datetime) -> None:
    reason = "the policy was deleted." if policy.deleted_at else "the policy was switched off."
    for incident in incidents:
        for row in incident.escalations:
            if row.policy_id == policy.id and incident.status is not IncidentStatus.RESOLVED:
                escalation_service.end(session, incident, row, at=at, reason=reason)
    escalation_service.mark_abandoned(session, incidents, at=at)
