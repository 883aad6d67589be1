"""Pages the administrators when nobody else is reachable, and raises the alarm if they are not either."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, TimelineEventType
from app.crud import crud_escalation
from app.models import Incident
from app.services import escalation_service, notification_service
from app.services.contacts import recipient_service
from app.services.escalation import UNREACHABLE_RETRY
from app.services.escalation_state import Unreachable
from app.services.notification_service import Origin
from app.services.policies.situation import Situation
from app.services.timeline_service import record

log = structlog.get_logger()

NOTE = "You are paged as an administrator: no policy reaches anybody else for this incident."
ENDED_NOTE = "You are paged as an administrator: a policy {ended} this incident before anybody had received a page."


def page_admins(
    situation: Situation, *, event_id: int | None = None, note: str = NOTE, is_exempt: bool = False
) -> bool:
    """Page every administrator. False if none is reachable. An exempt page is sent even if the incident has ended."""
    session, about = situation.session, situation.about
    people = recipient_service.admins(session, situation.paging)
    planned = notification_service.plan(session, about, people, named=None, note=note)
    origin = Origin(event_id, situation.kind, situation.is_manual or is_exempt)
    notification_service.enqueue(session, about, planned, origin)
    return bool(planned.pages)


def tell_ended_without_page(situation: Situation, policy: str, *, event_id: int) -> None:
    """Record that a policy acknowledged or resolved an incident without a page, and page the administrators."""
    session, incident, at = situation.session, situation.incident, situation.at
    happened = TimelineEventType.ENDED_WITHOUT_PAGE
    description = f"Policy “{policy}” {incident.status} this incident before anybody had received a page about it."
    record(session, incident.id, happened, description, at=at, status=incident.status)
    log.warning("incident_ended_without_page", incident_id=incident.id, status=incident.status)
    note = ENDED_NOTE.format(ended=incident.status)
    if not page_admins(situation, event_id=event_id, note=note, is_exempt=True):
        say_unreachable(session, incident, at=at)


def alarm_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """Raise the alarm that no page of the incident arrived. While it is open, try again within five minutes.

    A finished escalation restarts, and a running one's next step is due by then. If no policy matches, the
    administrators are paged again.
    """
    say_unreachable(session, incident, at=at)
    if incident.status is not IncidentStatus.OPEN:
        return
    if incident.is_unmatched:
        incident.unmatched_due_at = at + UNREACHABLE_RETRY
    for row in crud_escalation.of_incident(session, incident.id):
        escalation_service.move(row, Unreachable(at, incident.cycle))


def say_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """Raise the alarm that nobody could be reached about an incident."""
    description = "Nobody could be paged, not even an administrator."
    record(session, incident.id, TimelineEventType.NOBODY_REACHABLE, description, at=at)
    log.error("nobody_reachable", incident_id=incident.id)
