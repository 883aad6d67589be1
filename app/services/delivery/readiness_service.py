"""Checks a claimed message just before it is sent: its lease, incident and recipient, and a bundle's pages."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.vocabulary import NotificationKind
from app.crud import crud_lease, crud_outbox
from app.crud.crud_lease import DeliverySnapshot
from app.crud.locks import wait_briefly
from app.models import Notification
from app.services.delivery import bundle_service, status_update_service
from app.services.delivery.ports import Delivery
from app.services.delivery.recording_service import PATIENCE_SECONDS
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all, apply_leased
from app.services.notification_service import is_wanted

log = structlog.get_logger()

WHOLE_ENOUGH = 0.9  # of a lease
FRESH_SECONDS = 0.25


class LeaseLost(Exception):
    """The message waited here for longer than its lease, and another worker took it over."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about a message, and when that was by the monotonic clock, in seconds."""

    snapshot: DeliverySnapshot
    read_at: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.read_at

    @property
    def is_fresh(self) -> bool:
        return self.age <= FRESH_SECONDS


def look_ahead(delivery: Delivery, messages: Sequence[Notification]) -> dict[int, Check]:
    """Look at claimed messages together, by their ids: what is sent at once needs no look of its own.

    Finds nothing while the database or a connection to it is missing: then each message waits for it by itself.
    """
    try:
        return check(delivery, messages) if messages else {}
    except SQLAlchemyError as error:
        log.info("delivery_not_checked_together", messages=len(messages), reason=type(error).__name__)
        return {}


def check(delivery: Delivery, messages: Sequence[Notification]) -> dict[int, Check]:
    """The current state of claimed messages, by their ids."""
    read_at = time.monotonic()
    with delivery.database.reading() as session:
        snapshots = crud_lease.snapshots(session, messages)
    return {id_: Check(snapshot, read_at) for id_, snapshot in snapshots.items()}


def moment_to_send(delivery: Delivery, message: Notification, checked: Check | None = None) -> datetime | None:
    """The current time if the message may be sent. None if it was cancelled, as after an acknowledgement.

    A check that is older than a quarter of a second is repeated. Raises LeaseLost. Usually a single query is enough.
    """
    if checked is None or not checked.is_fresh:
        checked = check(delivery, [message])[message.id]
    snapshot = checked.snapshot
    is_leased = _is_mine(message, snapshot) and not _is_short(delivery, snapshot)
    if is_leased and not _may_be_rewritten(message) and _is_to_be_sent(message, snapshot):
        return snapshot.at + timedelta(seconds=checked.age)
    with delivery.database.transaction() as session:
        wait_briefly(session, PATIENCE_SECONDS)
        return _make_ready(delivery, session, message)


def _make_ready(delivery: Delivery, session: Session, message: Notification) -> datetime | None:
    """Renew the lease, rewrite a bundle, or cancel what is no longer needed."""
    snapshot = crud_lease.snapshots(session, [message])[message.id]
    at = snapshot.at
    _keep_lease(delivery, session, message, snapshot)
    still_wanted = is_wanted(message, snapshot)
    if message.kind is NotificationKind.BUNDLE:
        still_wanted = _rewrite_bundle(session, message, at=at)
    elif status_update_service.carries_updates(message):
        still_wanted = status_update_service.rewrite(session, message)
    if still_wanted and snapshot.is_recipient_active is not False:
        return at
    if still_wanted:
        deactivated = Event(EventType.DEACTIVATED)
        apply_all(session, crud_outbox.bundled_in(session, message.id), deactivated, at=at)
        apply_leased(session, message, deactivated, at=at)
    else:
        apply_leased(session, message, Event(EventType.NOT_NEEDED), at=at)
    return None


def _may_be_rewritten(message: Notification) -> bool:
    return message.kind is NotificationKind.BUNDLE or status_update_service.carries_updates(message)


def _is_mine(message: Notification, snapshot: DeliverySnapshot) -> bool:
    return snapshot.lease_until is not None and snapshot.lease_token == message.lease_token


def _is_short(delivery: Delivery, snapshot: DeliverySnapshot) -> bool:
    """True if the lease might not outlast the call."""
    return snapshot.lease_until is None or snapshot.lease_until - snapshot.at < WHOLE_ENOUGH * delivery.lease


def _keep_lease(delivery: Delivery, session: Session, message: Notification, snapshot: DeliverySnapshot) -> None:
    """Renew the lease of a message that waited for its turn. Raises LeaseLost."""
    if not _is_mine(message, snapshot):
        raise LeaseLost
    if _is_short(delivery, snapshot):
        renewed = Event(EventType.RENEWED, until=snapshot.at + delivery.lease)
        if apply_leased(session, message, renewed, at=snapshot.at) is None:
            raise LeaseLost


def _is_to_be_sent(message: Notification, snapshot: DeliverySnapshot) -> bool:
    return is_wanted(message, snapshot) and snapshot.is_recipient_active is not False


def _rewrite_bundle(session: Session, bundle: Notification, *, at: datetime) -> bool:
    """Remove pages that are no longer needed from a bundle. False if none is left."""
    pages = crud_outbox.bundled_in(session, bundle.id)
    snapshots = crud_lease.snapshots(session, pages)
    wanted = [page for page in pages if is_wanted(page, snapshots[page.id])]
    apply_all(session, [page for page in pages if page not in wanted], Event(EventType.NOT_NEEDED), at=at)
    if wanted and len(wanted) != bundle_service.count_named(bundle):
        bundle_service.write(session, bundle, wanted)
    return bool(wanted)
