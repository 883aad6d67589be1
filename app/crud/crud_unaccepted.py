"""Pages that no channel has accepted in time."""

from datetime import datetime

from sqlalchemy import Select, or_, select, union
from sqlalchemy.orm import Session, aliased

from app.core.vocabulary import DeliveryStatus, IncidentStatus, NotificationKind
from app.models import Incident, Notification

WAITING = Notification.status.in_(
    [DeliveryStatus.PENDING, DeliveryStatus.RETRY]
)  # the same condition as the index of due messages
REACHED = [status for status in DeliveryStatus if status.has_reached]
PAGES = [kind for kind in NotificationKind if kind.is_page]


def exist(session: Session, *, before: datetime) -> bool:
    """True if a page first tried before a time is still needed, and nothing was accepted instead.

    Instead means: a page of the same step to the same person by another channel, or a fallback, including one to an
    administrator.
    """
    overdue, instead = _overdue_pages(before).cte("overdue"), aliased(Notification)
    chain = select(overdue.c.id, overdue.c.id.label("page_id")).cte("chain", recursive=True)
    further = select(instead.id, chain.c.page_id).join(chain, instead.fallback_of == chain.c.id)
    chain = chain.union_all(further)
    fell_back = select(chain.c.page_id).join(Notification, Notification.id == chain.c.id)
    same = (instead.event_id == overdue.c.event_id) & (instead.recipient == overdue.c.recipient)
    query = select(overdue.c.id).where(
        overdue.c.id.not_in(fell_back.where(Notification.status.in_(REACHED))),
        ~select(instead.id).where(same, instead.status.in_(REACHED)).exists(),
    )
    return session.scalar(query.limit(1)) is not None


def _overdue_pages(before: datetime) -> Select[int, int | None, str]:
    """Pages that are still needed and that were first tried before a time, alone or in a bundle."""
    is_under_way = or_(WAITING, Notification.status == DeliveryStatus.SENDING)
    tried = select(Notification.id).where(is_under_way, Notification.first_attempt_at < before).cte("tried")
    page = aliased(Notification)
    named = select(page.id).join(tried, page.bundle_id == tried.c.id).where(page.status == DeliveryStatus.PENDING)
    ids = union(select(tried.c.id), named).subquery()
    is_wanted = (Incident.status == IncidentStatus.OPEN) & (Incident.cycle == Notification.cycle)
    is_by_hand = Notification.is_exempt & (Incident.status != IncidentStatus.RESOLVED)
    return (
        select(Notification.id, Notification.event_id, Notification.recipient)
        .join(ids, ids.c.id == Notification.id)
        .join(Incident, Incident.id == Notification.incident_id)
        .where(Notification.kind.in_(PAGES), or_(is_wanted, is_by_hand))
    )
