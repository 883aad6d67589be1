"""Quarantines escalations whose steps fail, so that they delay no others."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_escalation, crud_incident, crud_policy
from app.db.session import is_lock_timeout
from app.models import Escalation
from app.services import escalation_service
from app.services.escalation_state import Failed
from app.services.policies.last_resort_service import page_admins
from app.services.policies.situation import Situation
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

FAILURES_UNTIL_ADMINS = 2
FAILED_NOTE = (
    "You are paged as an administrator: a policy for this incident fails. See the service's log for the reason."
)


def quarantine(
    session: Session, row_id: int, incident_id: int, paging: Paging, error: Exception, *, at: datetime
) -> None:
    """Retry a failing escalation with growing delays. When it fails a second time, page the admins."""
    log.error("escalation_quarantined", incident_id=incident_id, escalation_id=row_id, exc_info=error)
    row = crud_escalation.get(session, row_id)
    incident = crud_incident.get_for_update(session, incident_id)
    if row is None or incident is None:
        return
    if row.quarantined_at is None:
        _tell(session, row, at=at)
    is_own = not is_lock_timeout(error)  # locks pass: no second failure because of one
    escalation_service.move(row, Failed(at, f"{type(error).__name__}: {error}", is_counted=is_own))
    if row.attempts == FAILURES_UNTIL_ADMINS and is_own and incident.status is IncidentStatus.OPEN:
        _page_admins_safely(Situation(session=session, incident=incident, paging=paging, at=at))
    session.flush()


def _tell(session: Session, row: Escalation, *, at: datetime) -> None:
    name = crud_policy.name(session, row.policy_id)
    description = f"The escalation by policy “{name}” failed. It will be retried."
    kind = TimelineEventType.ESCALATION_QUARANTINED
    record(session, row.incident_id, kind, description, at=at, policy_id=row.policy_id)


def _page_admins_safely(situation: Situation) -> None:
    """Page the admins. What broke the step may break this too: that is logged, and the quarantine stays."""
    incident_id = situation.incident.id
    try:
        with situation.session.begin_nested():
            page_admins(situation, note=FAILED_NOTE)
    except Exception:
        log.exception("admins_not_paged", incident_id=incident_id)
