"""Restarts escalations that have stopped moving, so that no open incident is forgotten."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud import crud_escalation, crud_incident, crud_policy
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import Incident
from app.services import escalation_service
from app.services.operations.dead_man_service import OVERDUE_AFTER
from app.services.operations.health_service import Pulse
from app.services.timeline_service import record

log = structlog.get_logger()

LOOKED_AT_IN_A_TICK = 500


def heal(session: Session, pulse: Pulse) -> int:
    """Check that every open incident with an unfinished escalation has a due time. Returns how many were healed.

    The database guarantees that a running escalation has a due time. This finds those that stand still on an open
    incident, or run in an earlier cycle. Locked incidents are skipped until the next tick. One worker at a time checks
    the next few open incidents, so a tick costs the same however many there are.
    """
    at = now(session)
    wait_briefly(session)
    if not crud_escalation.try_heal(session):
        return 0
    window = crud_incident.open_after(session, pulse.looked_at, limit=LOOKED_AT_IN_A_TICK)
    pulse.looked_at = window[-1] if len(window) == LOOKED_AT_IN_A_TICK else 0
    forgotten = crud_escalation.forgotten(session, [*pulse.held, *window])
    free = crud_incident.lock_available(session, {incident_id for incident_id, _ in forgotten})
    pulse.held = {incident_id for incident_id, _ in forgotten} - free.keys()
    healed = 0
    for incident_id, policy_id in forgotten:
        if incident_id in free:
            healed += _try_to_begin_again(session, free[incident_id], policy_id, pulse, at=at)
    return healed


def tell_overdue(session: Session, pulse: Pulse) -> int:
    """Log once when steps are late, and once when they are on time again. Returns how many are late.

    Call it before they fire: afterwards nothing is late.
    """
    late = crud_escalation.overdue(session, before=now(session) - OVERDUE_AFTER)
    if bool(late) != pulse.was_overdue:
        pulse.was_overdue = bool(late)
        if late:
            log.error("escalations_overdue", steps=late)
        else:
            log.info("escalations_on_time")
    return late


def _try_to_begin_again(session: Session, incident: Incident, policy_id: int, pulse: Pulse, *, at: datetime) -> int:
    """Restart one. If that fails, logs an error and returns 0; a later tick retries it."""
    incident_id = incident.id
    try:
        with session.begin_nested():
            return _begin_again(session, incident, policy_id, at=at)
    except Exception:
        log.exception("healing_failed", incident_id=incident_id, policy_id=policy_id)
        pulse.held.add(incident_id)
        return 0


def _begin_again(session: Session, incident: Incident, policy_id: int, *, at: datetime) -> int:
    policy = next((p for p in crud_policy.active(session) if p.policy_id == policy_id), None)
    if policy is None or (incident.id, policy_id) not in crud_escalation.forgotten(session, [incident.id]):
        return 0
    escalation_service.begin(session, incident, policy, at=at)
    session.flush()
    description = f"The escalation by policy “{policy.name}” was stuck and has been restarted."
    record(session, incident.id, TimelineEventType.ESCALATION_HEALED, description, at=at, policy_id=policy_id)
    log.error("escalation_healed", incident_id=incident.id, policy_id=policy_id)
    return 1
