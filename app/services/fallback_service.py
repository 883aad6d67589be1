"""Tries a person's next channel when a page is not accepted in time, and the administrators when none is left."""

import time
from collections.abc import Set
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus, IncidentStatus, NotificationKind, TimelineEventType
from app.crud import crud_notification, crud_user
from app.crud.base import now, wait_briefly
from app.models import Incident, Notification
from app.services import notification_service, recipient_service, step_service
from app.services.notification import Page, next_channel
from app.services.notification_service import Plan
from app.services.ports import Paging
from app.services.quiet import Occasion
from app.services.timeline_service import record

log = structlog.get_logger()

REACHED = {DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED}
LOST = {DeliveryStatus.DEAD, DeliveryStatus.CANCELLED}
AGAIN_AFTER = timedelta(seconds=60)
LONGEST_BATCH_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 1.0  # for what somebody holds: the page is put off, and the others are looked after
Tried = Set[tuple[str, str]]
NOTE = "You are paged as an administrator: nobody else could be reached about this incident."


def fall_back(session: Session, paging: Paging, *, limit: int) -> int:
    """Look after a batch of pages that were not accepted in time. Returns how many were taken.

    A batch that takes long ends early: nobody can record what becomes of its pages until then.
    """
    at, began = now(session), time.monotonic()
    wait_briefly(session, LONGEST_WAIT_SECONDS)
    due = crud_notification.claim_fallbacks(session, at=at, limit=limit)
    for taken, (page, incident) in enumerate(due, start=1):
        page_id = page.id  # a failure undoes the page's own savepoint, and with it what the session knew
        try:
            with session.begin_nested():
                _look_after(session, page, incident, paging, at=at)
        except Exception:
            log.exception("fallback_failed", notification_id=page_id)
            crud_notification.postpone_fallback(session, page_id, until=at + AGAIN_AFTER)
        if time.monotonic() - began > LONGEST_BATCH_SECONDS:
            return taken
    return len(due)


def _look_after(session: Session, page: Notification, incident: Incident, paging: Paging, *, at: datetime) -> None:
    page.fallback_at = None
    if page.status not in REACHED and _is_wanted(page, incident):
        _try_next(session, page, incident, paging, at=at)
    session.flush()


def _is_wanted(page: Notification, incident: Incident) -> bool:
    return page.is_exempt or (incident.status is IncidentStatus.OPEN and incident.cycle == page.cycle)


def _try_next(session: Session, page: Notification, incident: Incident, paging: Paging, *, at: datetime) -> None:
    pages = crud_notification.of_incident_cycle(session, incident.id, incident.cycle)
    tried = _tried(session, page)
    following = _next_of_person(session, page, incident, tried, paging, at=at)
    if following is not None:
        planned = notification_service.written(session, incident, [following], paging, at=at, note=None)
        _enqueue(session, page, incident, planned, at=at)
        description = f"{page.recipient} was not reached by {page.channel}: {following.channel} is tried as well."
        _tell(session, page, incident, description, at=at)
    elif page.status in LOST and not any(_is_left(other, incident, at) for other in pages if other.id != page.id):
        _page_admins(session, page, incident, tried, paging, at=at)


def _tried(session: Session, page: Notification) -> Tried:
    """Who was paged by which channel because of the same: by its step, or since what this page stands in for."""
    if page.event_id is not None:
        sent = crud_notification.of_event(session, page.event_id)
    else:
        sent = crud_notification.without_event(session, page.incident_id, since=_first(session, page).created_at)
    return {(one.recipient, one.channel) for one in sent}


def _first(session: Session, page: Notification) -> Notification:
    """The page that this one stands in for, over all channels before it."""
    while page.fallback_of is not None and (earlier := crud_notification.get(session, page.fallback_of)) is not None:
        page = earlier
    return page


def _next_of_person(
    session: Session, page: Notification, incident: Incident, tried: Tried, paging: Paging, *, at: datetime
) -> Page | None:
    users = crud_user.active(session, [page.user_id]) if page.user_id is not None else []
    occasion = None if page.kind is NotificationKind.MANUAL_PAGE else Occasion(incident.severity, at)
    people = recipient_service.people(session, users, paging, occasion)
    by_channel = {channel for recipient, channel in tried if recipient == page.recipient}
    return next_channel(people[0], paging.channels, by_channel) if people else None


def _is_left(other: Notification, incident: Incident, at: datetime) -> bool:
    """True if another page of this cycle arrived, is still under way, or is lost and about to be looked after."""
    is_next = other.fallback_at is not None and other.fallback_at <= at and _is_wanted(other, incident)
    return other.status not in LOST or is_next


def _page_admins(
    session: Session, page: Notification, incident: Incident, tried: Tried, paging: Paging, *, at: datetime
) -> None:
    admins = recipient_service.admins(session, paging)
    planned = notification_service.plan(session, incident, admins, paging, at=at, named=None, note=NOTE)
    new = tuple(p for p in planned.pages if (p.page.person.key, p.page.channel) not in tried)
    if new:
        _enqueue(session, page, incident, Plan(new), at=at)
        _tell(session, page, incident, "Nobody was reached: the administrators are paged.", at=at)
    else:
        step_service.alarm_unreachable(session, incident, at=at)


def _enqueue(session: Session, page: Notification, incident: Incident, planned: Plan, *, at: datetime) -> None:
    notification_service.enqueue(
        session,
        incident,
        planned,
        at=at,
        event_id=page.event_id,
        kind=page.kind,
        is_exempt=page.is_exempt,
        fallback_of=page.id,
    )


def _tell(session: Session, page: Notification, incident: Incident, description: str, *, at: datetime) -> None:
    record(
        session,
        incident.id,
        TimelineEventType.NOTIFICATION_FELL_BACK,
        description,
        at=at,
        notification_id=page.id,
        error=page.last_error,
    )
    log.warning("delivery_fell_back", notification_id=page.id, incident_id=incident.id, channel=page.channel)
