"""Tries a person's next channel if a page is not accepted in time, and the administrators if none is left."""

import time
from collections.abc import Sequence, Set
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.channel import spoken, without_answer
from app.core.vocabulary import NotificationKind, TimelineEventType
from app.crud import crud_event, crud_notification, crud_outbox, crud_user
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import Incident, Notification
from app.services import notification_service
from app.services.contacts import recipient_service
from app.services.contacts.quiet import Occasion
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all
from app.services.notification import Page, next_channel
from app.services.notification_service import Origin, PageContext, Plan, is_wanted
from app.services.policies import last_resort_service
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

AGAIN_AFTER = timedelta(seconds=60)
LONGEST_BATCH_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 1.0  # for a lock; after that the page is postponed, and the others go on
Tried = Set[tuple[str, str]]
NOTE = "You are paged as an administrator: nobody else could be reached about this incident."


def fall_back(session: Session, paging: Paging, *, limit: int) -> int:
    """Handle a batch of pages that were not accepted in time. Returns how many were taken.

    A slow batch ends early, because its pages' outcomes cannot be recorded until it ends.
    """
    at, began = now(session), time.monotonic()
    wait_briefly(session, LONGEST_WAIT_SECONDS)
    due = crud_outbox.claim_fallbacks(session, at=at, limit=limit)
    for taken, (page, incident) in enumerate(due, start=1):
        page_id = page.id  # a failure rolls back the page's savepoint and expires the page: keep its ids
        try:
            with session.begin_nested():
                _look_after(session, page, incident, paging, at=at)
        except Exception:
            log.exception("fallback_failed", notification_id=page_id)
            crud_outbox.postpone_fallback(session, page_id, until=at + AGAIN_AFTER)
        if time.monotonic() - began > LONGEST_BATCH_SECONDS:
            return taken
    return len(due)


def _look_after(session: Session, page: Notification, incident: Incident, paging: Paging, *, at: datetime) -> None:
    apply_all(session, [page], Event(EventType.FALLBACK_DONE), at=at)
    if not page.status.has_reached and is_wanted(page, incident):
        _try_next(session, page, incident, paging, at=at)
    session.flush()


def _try_next(session: Session, page: Notification, incident: Incident, paging: Paging, *, at: datetime) -> None:
    pages = crud_notification.of_incident_cycle(session, incident.id, incident.cycle)
    tried = _tried(session, page)
    following = _next_of_person(session, page, incident, tried, paging, at=at)
    if following is not None:
        context = PageContext(incident, paging, at)
        planned = notification_service.written(session, context, [following], note=None)
        _enqueue(session, page, context, planned)
        before, instead = spoken(page.channel), spoken(following.channel)
        description = f"The page to {following.person.shown} by {before} was not accepted. Trying {instead} as well."
        _tell(session, page, incident, description, at=at)
    elif page.status.is_lost and not any(_is_left(other, incident, at) for other in pages if other.id != page.id):
        _page_admins(session, page, incident, tried, paging, at=at)


def _tried(session: Session, page: Notification) -> Tried:
    """Who was already tried by which channel: by the same step, or since the page that this one is the fallback for."""
    if page.event_id is not None:
        sent = crud_notification.of_event(session, page.event_id)
    else:
        sent = crud_notification.without_event(session, page.incident_id, since=_first(session, page).created_at)
    return {(one.recipient, one.channel) for one in sent}


def _first(session: Session, page: Notification) -> Notification:
    """The first page of this chain of fallbacks."""
    while page.fallback_of is not None and (earlier := crud_notification.get(session, page.fallback_of)) is not None:
        page = earlier
    return page


def _next_of_person(
    session: Session, page: Notification, incident: Incident, tried: Tried, paging: Paging, *, at: datetime
) -> Page | None:
    users = crud_user.active(session, [page.user_id]) if page.user_id is not None else []
    is_ordinary = page.kind is NotificationKind.PAGE and _is_named(session, page)
    occasion = Occasion(incident.severity, at) if is_ordinary else None
    people = recipient_service.people(session, users, paging, occasion)
    return next_channel(people[0], paging.channels, _channels(tried, page.recipient)) if people else None


def _channels(tried: Tried, recipient: str) -> Set[str]:
    return {channel for who, channel in tried if who == recipient}


def _is_named(session: Session, page: Notification) -> bool:
    """True if quiet hours apply. They do not to an administrator who is paged as the last resort."""
    event = crud_event.get(session, page.event_id) if page.event_id is not None else None
    notified = event.metadata_.get("notified", ()) if event is not None else ()
    return any(sent["recipient"] == page.recipient for sent in notified)


def _is_left(other: Notification, incident: Incident, at: datetime) -> bool:
    """True if a page of this cycle arrived, is still under way, or is lost and has its fallback still due."""
    is_next = other.fallback_at is not None and other.fallback_at <= at and is_wanted(other, incident)
    return not other.status.is_lost or is_next


def _page_admins(
    session: Session, page: Notification, incident: Incident, tried: Tried, paging: Paging, *, at: datetime
) -> None:
    admins = recipient_service.admins(session, paging)
    left = [next_channel(admin, paging.channels, _channels(tried, admin.key)) for admin in admins]
    pages = [following for following in left if following is not None]
    if pages:
        context = PageContext(incident, paging, at)
        planned = notification_service.written(session, context, pages, note=NOTE)
        _enqueue(session, page, context, planned)
        _tell(session, page, incident, f"Nobody was reached. Paging the administrators: {_listed(pages)}.", at=at)
    else:
        last_resort_service.alarm_unreachable(session, incident, at=at)


def _listed(pages: Sequence[Page]) -> str:
    return ", ".join(f"{page.person.shown} by {spoken(page.channel)}" for page in pages)


def _enqueue(session: Session, page: Notification, context: PageContext, planned: Plan) -> None:
    origin = Origin(page.event_id, page.kind, page.is_exempt, fallback_of=page.id)
    notification_service.enqueue(session, context, planned, origin)


def _tell(session: Session, page: Notification, incident: Incident, description: str, *, at: datetime) -> None:
    record(
        session,
        incident.id,
        TimelineEventType.NOTIFICATION_FELL_BACK,
        description,
        at=at,
        notification_id=page.id,
        error=without_answer(page.last_error),
    )
    log.warning("delivery_fell_back", notification_id=page.id, incident_id=incident.id, channel=page.channel)
