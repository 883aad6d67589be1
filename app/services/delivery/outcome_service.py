"""Records what came of a message: its end, the pages it named, the timeline, and what a dead address means."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.channel import Outcome, without_answer
from app.core.vocabulary import DeliveryStatus, NotificationKind, TimelineEventType
from app.crud import crud_notification
from app.crud.crud_notification import ERASED
from app.models import Notification
from app.services.policies.actions.webhook import tell_webhook_answer

Entry = dict[str, Any]  # the attributes of a TimelineEvent


def settle(
    session: Session,
    message: Notification,
    status: DeliveryStatus,
    values: dict[str, Any],
    outcome: Outcome,
    *,
    at: datetime,
) -> Sequence[Entry] | None:
    """Write what came of an attempt. Returns what to add to timelines, which the caller does for several at once.

    None, and nothing is written, if the lease was lost.
    """
    standing = {"status": status, **_times(message, status, at)}
    stands = end(session, message, {**values, **standing})
    if stands is None:
        return None
    if stands is DeliveryStatus.DELIVERED and status is not DeliveryStatus.ACCEPTED:
        return ()  # whatever we saw of it: it arrived, and that has been told
    pages: Sequence[Notification] = [message]
    if message.kind is NotificationKind.BUNDLE:
        pages = _settle_bundled(session, message, {**standing, "last_error": outcome.error}, at=at)
    if not status.has_ended:
        return ()
    if message.kind is NotificationKind.WEBHOOK_ACTION:
        tell_webhook_answer(session, message, outcome, at=at)
    return _entries(pages, message, status, outcome, at=at)


def end(session: Session, message: Notification, values: dict[str, Any]) -> DeliveryStatus | None:
    """End the lease. Returns the status after it; None if the lease was lost.

    A text that is a secret is kept no longer than it is needed.
    """
    if message.kind.is_secret and values["status"].has_ended:
        values = {**values, **ERASED}
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return crud_notification.record(session, message.id, lease_token=message.lease_token, values=values)


def _times(message: Notification, status: DeliveryStatus, at: datetime) -> dict[str, Any]:
    """The times that belong to a status. What is dead is looked after at once, what was accepted never again."""
    times: dict[str, Any] = {"ended_at": at if status.has_ended else None}
    if status is DeliveryStatus.ACCEPTED:
        times |= {"accepted_at": at, "fallback_at": None}
    elif status is DeliveryStatus.DEAD and message.kind.is_page:
        times["fallback_at"] = at
    return times


def _settle_bundled(
    session: Session, bundle: Notification, standing: dict[str, Any], *, at: datetime
) -> Sequence[Notification]:
    """The pages that a bundle names end as it ends."""
    pages = crud_notification.bundled_in(session, bundle.id)
    if pages and standing["status"].has_ended:
        values = {**standing, **_times(pages[0], standing["status"], at)}
        crud_notification.end_all(session, [page.id for page in pages], values)
    return pages


def _entries(
    pages: Sequence[Notification], message: Notification, status: DeliveryStatus, outcome: Outcome, *, at: datetime
) -> Sequence[Entry]:
    """A page that arrived or never will is part of its incident's record."""
    is_sent = status is DeliveryStatus.ACCEPTED
    event_type = TimelineEventType.NOTIFICATION_SENT if is_sent else TimelineEventType.NOTIFICATION_FAILED
    verb = "was sent to" if is_sent else "could not be sent to"
    together = "" if pages[:1] == [message] else f", in one message about {len(pages)} incidents"
    return [
        {
            "incident_id": page.incident_id,
            "event_type": event_type,
            "description": f"A page {verb} {page.recipient} by {page.channel}{together}.",
            "metadata_": {"notification_id": page.id, "error": without_answer(outcome.error)},
            "created_at": at,
        }
        for page in pages
        if page.incident_id is not None and page.kind.is_page
    ]
