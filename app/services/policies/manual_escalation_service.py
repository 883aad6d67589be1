"""Escalates an incident immediately, on request."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState, IncidentStatus, TimelineEventType
from app.crud import crud_escalation
from app.crud.clock import now
from app.models import Escalation, Incident, User
from app.services import escalation_service
from app.services.escalation_state import Resumed, Stopped
from app.services.incidents import collaboration_service, incident_service, lifecycle_service
from app.services.policies import firing_service, last_resort_service, quarantine_service
from app.services.policies.situation import Situation
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

PAUSE = timedelta(seconds=10)


def escalate_now(session: Session, incident_id: int, paging: Paging, *, by: User) -> Incident:
    """Fire the next step of every policy that matches now or matched when its escalation started; else page the admins.

    A resolved incident does not change, a snoozed one reopens, an acknowledged one stays acknowledged. A second call
    within 10 s changes nothing. Raises NotFound, PermissionDenied.
    """
    incident = incident_service.locked(session, incident_id)
    collaboration_service.require_involved(session, incident, by)
    return escalate_locked(session, incident, paging, by=by)


def escalate_locked(
    session: Session, incident: Incident, paging: Paging, *, by: User | None, because: str = ""
) -> Incident:
    """As `escalate_now`, on a locked incident and without checking the caller's rights."""
    at = now(session)
    if incident.status is IncidentStatus.RESOLVED:
        return incident
    if incident.escalated_at is not None and at < incident.escalated_at + PAUSE:
        return incident
    incident.escalated_at = at
    description = f"Escalated manually{because}."
    record(session, incident.id, TimelineEventType.ESCALATED_MANUALLY, description, at=at, by=by)
    log.info("incident_escalated_manually", incident_id=incident.id)
    situation = Situation(session=session, incident=incident, paging=paging, at=at, is_manual=True)
    _begin_matching(session, incident, at=at)
    if not _fire_all(situation) and not last_resort_service.page_admins(situation):
        last_resort_service.say_unreachable(session, incident, at=at)
    session.flush()
    return incident


def _begin_matching(session: Session, incident: Incident, *, at: datetime) -> None:
    """Start an escalation for every matching policy, so that its step can fire. Reopens a snoozed incident."""
    if incident.status is IncidentStatus.SNOOZED:
        lifecycle_service.end_snooze(session, [incident], at=at)
    escalation_service.begin_matching(session, incident, at=at)
    session.flush()


def _fire_all(situation: Situation) -> bool:
    """Fire the next step of each escalation that still applies. False if none could be fired."""
    rows = crud_escalation.of_incident(situation.session, situation.incident.id)
    fired = [_try_to_fire(situation, row) for row in rows if _goes_on(row, situation.incident)]
    return any(fired)


def _goes_on(row: Escalation, incident: Incident) -> bool:
    """True if it started in this cycle, its policy still applies, and no step has just resolved the incident."""
    has_begun = row.cycle == incident.cycle and row.version.id == row.version_id
    return has_begun and row.state is not EscalationState.ENDED and incident.status is not IncidentStatus.RESOLVED


def _try_to_fire(situation: Situation, row: Escalation) -> bool:
    """Fire one policy's step. If it fails, quarantine it and return False: the other policies go on."""
    row_id, incident_id = row.id, row.incident_id
    session, paging, at = situation.session, situation.paging, situation.at
    try:
        with session.begin_nested():
            _fire(situation, row)
    except Exception as error:  # noqa: BLE001 - one broken policy must not stop the others
        quarantine_service.quarantine(session, row_id, incident_id, paging, error, at=at)
        return False
    return True


def _fire(situation: Situation, row: Escalation) -> None:
    incident = situation.incident
    if row.state is EscalationState.FINISHED:
        escalation_service.restart(situation.session, incident, row, at=situation.at)
    escalation_service.move(row, Resumed(situation.at))
    firing_service.fire(situation, row)
    # A step that reaches nobody makes the next one due at once. Fire that one too.
    while firing_service.is_still_due(row, situation.at):
        firing_service.fire(situation, row)
    if incident.status is not IncidentStatus.OPEN:
        escalation_service.move(row, Stopped())
