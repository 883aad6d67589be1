"""Sends what the outbox holds, with no transaction open. At least once, with the same key each time."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session

from app.core.channel import Channel, Envelope, Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, IncidentStatus, NotificationKind, TimelineEventType
from app.crud import crud_attempt, crud_incident, crud_notification
from app.crud.base import now
from app.db.session import Database
from app.models import Notification, NotificationAttempt
from app.services.notification import FollowUp, follow_up
from app.services.timeline_service import record

log = structlog.get_logger()

ENDED = {DeliveryStatus.ACCEPTED, DeliveryStatus.DEAD, DeliveryStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What sending needs: where the outbox is, which channels there are, how long a worker may hold a message."""

    database: Database
    channels: Mapping[str, Channel]
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how it ended, when it began and how long it took."""

    outcome: Outcome
    began_at: datetime
    latency_ms: int


def send_due(delivery: Delivery, executor: Executor, *, limit: int) -> int:
    """Claim due messages and send them side by side. Returns how many there were."""
    claimed = _claim(delivery, limit=limit)
    for _ in executor.map(lambda message: _send_one(delivery, message), claimed):
        pass
    return len(claimed)


def release_expired(session: Session) -> int:
    """Give back what a dead worker had claimed, to be sent again under the same key."""
    released = crud_notification.release_expired(session, at=now(session))
    if released:
        log.warning("delivery_leases_expired", notification_ids=list(released))
    return len(released)


def _claim(delivery: Delivery, *, limit: int) -> Sequence[Notification]:
    with delivery.database.transaction() as session:
        at = now(session)
        return crud_notification.claim_due(
            session, at=at, lease_until=at + delivery.lease, lease_token=uuid4(), limit=limit
        )


def _send_one(delivery: Delivery, message: Notification) -> None:
    """Send one claimed message, unless it is void by now, and record what came of it."""
    log_fields = {"notification_id": message.id, "incident_id": message.incident_id, "channel": message.channel}
    try:
        began_at = _moment_to_send(delivery, message)
        if began_at is None:
            log.info("delivery_cancelled", **log_fields)
            return
        attempt = _attempt(delivery, message, began_at)
        with delivery.database.transaction() as session:
            is_recorded = _record(session, message, attempt)
    except Exception:
        # The lease stays and will expire: the message is sent again rather than lost.
        log.exception("delivery_interrupted", **log_fields)
        return
    event = "delivery_attempted" if is_recorded else "delivery_lease_lost"
    log.info(event, result=attempt.outcome.result, latency_ms=attempt.latency_ms, attempt=message.attempt, **log_fields)


def _moment_to_send(delivery: Delivery, message: Notification) -> datetime | None:
    """The time, or None after cancelling a page whose incident somebody has acknowledged meanwhile."""
    with delivery.database.transaction() as session:
        at = now(session)
        if _is_still_wanted(session, message):
            return at
        _end(session, message, {"status": DeliveryStatus.CANCELLED, "ended_at": at})
        return None


def _is_still_wanted(session: Session, message: Notification) -> bool:
    if message.is_exempt or message.incident_id is None:
        return True
    standing = crud_notification.standing(session, message.incident_id)
    return standing is not None and standing.status is IncidentStatus.OPEN and standing.cycle == message.cycle


def _attempt(delivery: Delivery, message: Notification, began_at: datetime) -> Attempt:
    channel = delivery.channels.get(message.channel)
    started = time.monotonic()
    if channel is None:
        outcome = Outcome(AttemptOutcome.RETRY, error=f"The channel {message.channel} is not set up here.")
    else:
        outcome = channel.send(
            Envelope(
                address=message.address,
                subject=message.subject,
                body=message.body,
                idempotency_key=message.idempotency_key,
                incident_id=message.incident_id,
                kind=message.kind,
                html=message.html,
                facts=message.facts,
            )
        )
    return Attempt(outcome, began_at, latency_ms=round((time.monotonic() - started) * 1000))


def _record(session: Session, message: Notification, attempt: Attempt) -> bool:
    """Write the outcome, fenced by the lease: False if another worker has taken the message over."""
    at = now(session)
    first_attempt_at = message.first_attempt_at or attempt.began_at
    following = follow_up(attempt.outcome, attempt=message.attempt, first_attempt_at=first_attempt_at, now=at)
    values: dict[str, Any] = {
        "status": following.status,
        "next_attempt_at": following.next_attempt_at,
        "first_attempt_at": first_attempt_at,
        "last_error": attempt.outcome.error,
        "provider_id": attempt.outcome.provider_id,
        "accepted_at": at if following.status is DeliveryStatus.ACCEPTED else None,
        "ended_at": at if following.status in ENDED else None,
    }
    crud_attempt.stage(session, _attempt_row(message.id, attempt))
    if not _end(session, message, values):
        return False
    _tell_timeline(session, message, following, attempt, at=at)
    return True


def _attempt_row(notification_id: int, attempt: Attempt) -> NotificationAttempt:
    return NotificationAttempt(
        notification_id=notification_id,
        at=attempt.began_at,
        outcome=attempt.outcome.result,
        status_code=attempt.outcome.status_code,
        latency_ms=attempt.latency_ms,
        error=attempt.outcome.error,
    )


def _end(session: Session, message: Notification, values: dict[str, Any]) -> bool:
    """End the lease. The text of a password mail is a secret: it is kept no longer than it is needed."""
    is_secret = message.kind is NotificationKind.PASSWORD_RESET
    if is_secret and values["status"] in ENDED:
        values = {**values, "body": "", "html": None, "facts": {}}
    return crud_notification.record(session, message.id, lease_token=_lease_of(message), values=values)


def _lease_of(message: Notification) -> UUID:
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return message.lease_token


def _tell_timeline(
    session: Session, message: Notification, following: FollowUp, attempt: Attempt, *, at: datetime
) -> None:
    """A page that arrived or never will is part of the incident's record."""
    incident = crud_incident.get(session, message.incident_id) if message.incident_id else None
    if incident is None or following.status not in ENDED:
        return
    sent = following.status is DeliveryStatus.ACCEPTED
    event_type = TimelineEventType.NOTIFICATION_SENT if sent else TimelineEventType.NOTIFICATION_FAILED
    verb = "was sent to" if sent else "could not be sent to"
    record(
        session,
        incident,
        event_type,
        f"A page {verb} {message.recipient} by {message.channel}.",
        at=at,
        notification_id=message.id,
        error=attempt.outcome.error,
    )
