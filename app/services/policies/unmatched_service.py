"""Pages the administrators about incidents that no policy matches, if the setting says so."""

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, UnmatchedIncidents
from app.crud import crud_unmatched
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import Incident
from app.services.escalation import QUARANTINE_FIRST
from app.services.policies import last_resort_service
from app.services.policies.situation import Situation
from app.services.ports import Paging

log = structlog.get_logger()

NOTE = "You are paged as an administrator: no escalation policy matches this incident."
BY_HAND = "api"  # the source of incidents that people open: they know about them


def is_paged(setting: UnmatchedIncidents, source: str) -> bool:
    """True if the administrators are paged about an unmatched incident from this source."""
    if setting is UnmatchedIncidents.PAGE_ADMINS_FOR_ALERTS:
        return source != BY_HAND
    return setting is UnmatchedIncidents.PAGE_ADMINS


def page_due(session: Session, paging: Paging, *, limit: int) -> int:
    """Page the administrators about a batch of incidents. Returns how many incidents were taken.

    Skips an incident if a page of its current cycle arrived or is under way: then a policy paged somebody before it
    was switched off or stopped matching.
    """
    at = now(session)
    wait_briefly(session)
    incidents = crud_unmatched.claim_due(session, at=at, limit=limit)
    known = crud_unmatched.with_page(session, [incident.id for incident in incidents]) if incidents else set()
    for incident in incidents:
        incident.unmatched_due_at = None
    session.flush()
    for incident in incidents:
        if _is_to_be_paged(incident, paging) and incident.id not in known:
            _page_safely(Situation(session=session, incident=incident, paging=paging, at=at))
    return len(incidents)


def _is_to_be_paged(incident: Incident, paging: Paging) -> bool:
    is_wanted = incident.is_unmatched and incident.status is IncidentStatus.OPEN
    return is_wanted and is_paged(paging.unmatched, incident.source)


def _page_safely(situation: Situation) -> None:
    """Page about one incident. If that fails, it is retried and delays no other."""
    session, incident_id, at = situation.session, situation.incident.id, situation.at
    try:
        with session.begin_nested():
            if last_resort_service.page_admins(situation, note=NOTE):
                log.warning("unmatched_incident_paged", incident_id=incident_id)
            else:
                last_resort_service.alarm_unreachable(session, situation.incident, at=at)
            session.flush()
    except Exception:
        log.exception("unmatched_incident_not_paged", incident_id=incident_id)
        crud_unmatched.postpone(session, incident_id, until=at + QUARANTINE_FIRST)
