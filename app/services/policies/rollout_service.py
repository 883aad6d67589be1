"""Carries a policy that is new, switched on, switched off or deleted to the open incidents."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus
from app.crud import crud_incident, crud_policy
from app.crud.base import now, wait_briefly
from app.models import EscalationPolicy, Incident
from app.services import escalation_service

log = structlog.get_logger()

SPREAD_BATCH = 500
SHOWN = 10
FIRST_ID = 0
LAST_ID = 2**31 - 1


def begin(session: Session, policy: EscalationPolicy) -> None:
    """Do the first batch at once, and let the worker go over all of them again when this is committed.

    An incident that another transaction opens meanwhile sees this change as little as this one sees the incident.
    """
    policy.spread_after, policy.spread_held = FIRST_ID, []
    _spread(session, policy, at=now(session))
    policy.spread_after, policy.spread_held = FIRST_ID, []


def spread_next(session: Session, put_off: set[int]) -> int:
    """Carry a change one batch further through the incidents. Returns 1, or 0 when there is nothing to do now.

    Waits for nobody. A policy that cannot go on because of what others hold joins those that are `put_off`, which are
    left alone.
    """
    wait_briefly(session)
    policy = crud_policy.claim_spreading(session, beside=put_off)
    if policy is None:
        return 0
    is_new = policy.spread_after == FIRST_ID
    goes_on = (not is_new or crud_policy.wait_for_readers(session)) and _spread(session, policy, at=now(session))
    if not goes_on:
        put_off.add(policy.id)
        log.info("policy_spread_waits", policy_id=policy.id, incident_ids=policy.spread_held[:SHOWN])
    return 1


def _spread(session: Session, policy: EscalationPolicy, *, at: datetime) -> bool:
    """Carry a change to the next incidents, and in the end to those that somebody held. False if they still do."""
    is_on = policy.is_active and policy.deleted_at is None
    after = policy.spread_after or FIRST_ID
    if is_on:
        window = crud_incident.open_after(session, after, limit=SPREAD_BATCH)
    else:
        window = crud_incident.escalated_by_after(session, policy.id, after, limit=SPREAD_BATCH)
    ids = set(window or policy.spread_held[:SPREAD_BATCH])
    free = crud_incident.lock_unheld(session, ids)
    if is_on:
        _start_on(session, policy, free.values(), at=at)
    else:
        _end_on(session, policy, free.values(), at=at)
    policy.spread_held = [*(id_ for id_ in policy.spread_held if id_ not in ids), *sorted(ids - free.keys())]
    policy.spread_after = _next_place(policy, window)
    session.flush()
    return bool(window or free or not policy.spread_held)


def _next_place(policy: EscalationPolicy, window: Sequence[int]) -> int | None:
    """After which id it goes on; None when it has come to every incident."""
    if len(window) == SPREAD_BATCH:
        return window[-1]
    return LAST_ID if policy.spread_held else None


def _start_on(session: Session, policy: EscalationPolicy, incidents: Iterable[Incident], *, at: datetime) -> None:
    still_open = [incident for incident in incidents if incident.status is IncidentStatus.OPEN]
    escalation_service.start_policy(session, still_open, crud_policy.current(session, policy.id), at=at)


def _end_on(session: Session, policy: EscalationPolicy, incidents: Iterable[Incident], *, at: datetime) -> None:
    reason = "the policy was deleted." if policy.deleted_at else "the policy was switched off."
    for incident in incidents:
        for row in incident.escalations:
            if row.policy_id == policy.id and incident.status is not IncidentStatus.RESOLVED:
                escalation_service.end(session, incident, row, at=at, reason=reason)
