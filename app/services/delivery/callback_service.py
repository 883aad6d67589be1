"""Hears from providers what became of the messages that they had accepted, in whatever order and however often."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.vocabulary import DeliveryStatus, TimelineEventType
from app.crud import crud_notification
from app.crud.base import now, wake
from app.crud.crud_notification import ERASED
from app.models import Notification
from app.services.contacts import verification_service
from app.services.ports import Paging
from app.services.timeline_service import record

log = structlog.get_logger()

NOT_DUE = {"lease_until": None, "lease_token": None, "next_attempt_at": None}


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a provider says of one message. It arrived, or it never will; `has_arrived` None: it is under way.

    `is_address_gone` is its word that no message to this address will ever arrive.
    """

    key: UUID
    has_arrived: bool | None
    provider_id: str | None = None
    error: str | None = None
    is_address_gone: bool = False


def take(session: Session, report: DeliveryReport, paging: Paging) -> None:
    """Record the first final word on a message; all others change nothing. Raises NotFound.

    What never arrived is dead, so that the person's next channel is tried at once.
    """
    message = crud_notification.lock_by_key(session, report.key)
    if message is None:
        raise NotFound("There is no such message.")
    if report.has_arrived is None or _has_final_word(message):
        return
    at = now(session)
    named = crud_notification.named_in(session, message.id)
    messages = [message, *(page for page in named if not page.status.is_final)]
    for each in messages:
        _apply(each, _arrived(each, at) if report.has_arrived else _failed(each, report, at))
    message.provider_id = message.provider_id or report.provider_id
    session.flush()
    _tell_timelines(session, messages, report, at=at)
    if report.is_address_gone:
        verification_service.disable_gone(session, message, paging, at=at)
    if not report.has_arrived:
        wake(session, "plan")
    log.info("delivery_reported", notification_id=message.id, channel=message.channel, arrived=report.has_arrived)


def _has_final_word(message: Notification) -> bool:
    """True also of a message that was reported as delivered and whose own answer we still wait for."""
    is_kept = message.status is DeliveryStatus.SENDING and message.delivered_at is not None
    return message.status.is_final or is_kept


def _arrived(message: Notification, at: datetime) -> dict[str, Any]:
    """What a delivery changes; before our own record of the attempt only the fact is kept.

    That record needs its lease, and turns the fact into the status.
    """
    if message.status is DeliveryStatus.SENDING:
        return {"delivered_at": at}
    accepted_at = message.accepted_at or at
    times = {"delivered_at": at, "accepted_at": accepted_at, "ended_at": at, "fallback_at": None}
    return {"status": DeliveryStatus.DELIVERED, "is_held": False, **NOT_DUE, **times}


def _failed(message: Notification, report: DeliveryReport, at: datetime) -> dict[str, Any]:
    """Final, also for a worker that still waits for the provider's answer: without its lease it writes nothing."""
    fallback_at = at if message.kind.is_page else None
    times = {"ended_at": at, "fallback_at": fallback_at}
    return {"status": DeliveryStatus.DEAD, "is_held": False, "last_error": report.error, **NOT_DUE, **times}


def _apply(message: Notification, values: dict[str, Any]) -> None:
    """A text that is a secret is kept no longer than it is needed."""
    if message.kind.is_secret and "status" in values:
        values = {**values, **ERASED}
    for name, value in values.items():
        setattr(message, name, value)


def _tell_timelines(
    session: Session, messages: Sequence[Notification], report: DeliveryReport, *, at: datetime
) -> None:
    """A page that arrived or never will is part of its incident's record."""
    event_type, verb = TimelineEventType.NOTIFICATION_FAILED, "could not be delivered to"
    if report.has_arrived:
        event_type, verb = TimelineEventType.NOTIFICATION_DELIVERED, "was delivered to"
    for page in messages:
        if page.incident_id is not None and page.kind.is_page:
            description = f"A page {verb} {page.recipient} by {page.channel}."
            record(
                session,
                page.incident_id,
                event_type,
                description,
                at=at,
                notification_id=page.id,
                error=report.error,
            )
