"""Pages the administrators when nobody else can be reached, and raises the alarm when they cannot either."""

from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import NotificationKind, TimelineEventType
from app.models import EscalationEvent, Incident
from app.services import notification_service
from app.services.contacts import recipient_service
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

NOTE = "You are paged as an administrator: no policy reaches anybody else for this incident."


def page_admins(
    session: Session,
    incident: Incident,
    paging: Paging,
    *,
    at: datetime,
    event: EscalationEvent | None,
    kind: NotificationKind,
    note: str = NOTE,
) -> bool:
    """Page every administrator. False if none can be reached."""
    planned = notification_service.plan(
        session, incident, recipient_service.admins(session, paging), paging, at=at, named=None, note=note
    )
    is_exempt = kind is NotificationKind.MANUAL_PAGE
    event_id = event.id if event else None
    notification_service.enqueue(session, incident, planned, at=at, event_id=event_id, kind=kind, is_exempt=is_exempt)
    return bool(planned.pages)


def say_unreachable(session: Session, incident: Incident, *, at: datetime) -> None:
    """Alarm: an incident has come to nobody."""
    description = "Nobody could be paged, not even an administrator."
    record(session, incident.id, TimelineEventType.NOBODY_REACHABLE, description, at=at)
    log.error("nobody_reachable", incident_id=incident.id)
