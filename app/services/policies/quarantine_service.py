"""Puts escalations aside whose steps fail, so that they hold up no other."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus, NotificationKind, TimelineEventType
from app.crud import crud_escalation, crud_incident, crud_policy
from app.db.session import is_held
from app.models import Incident
from app.services import escalation
from app.services.policies.last_resort_service import page_admins
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

FAILURES_UNTIL_ADMINS = 2
FAILED_NOTE = "You are paged as an administrator: a policy for this incident fails. The service's log says why."


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
    row.attempts += not is_held(error)  # what somebody holds is not for long
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
    if row.attempts == FAILURES_UNTIL_ADMINS and not is_held(error) and incident.status is IncidentStatus.OPEN:
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
