"""Sends what the outbox holds, with no transaction open. At least once, with the same key each time."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session

from app.core.channel import Channel, Envelope, Outcome
from app.core.crash_points import reach
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, IncidentStatus, NotificationKind
from app.crud import crud_attempt, crud_notification
from app.crud.base import now
from app.crud.crud_notification import Standing
from app.db.session import Database, is_unavailable
from app.models import Notification, NotificationAttempt
from app.services import outcome_service, pace_service, verification_service
from app.services.breaker import Breakers
from app.services.notification import follow_up
from app.services.ports import Paging

log = structlog.get_logger()

PAGES = {NotificationKind.PAGE, NotificationKind.MANUAL_PAGE}
DEACTIVATED = "The recipient's account was deactivated."
RECORD_PAUSE_SECONDS = 0.5
TOO_MANY_REQUESTS = 429
WHOLE_ENOUGH = 0.9  # of a lease


class LeaseLost(Exception):
    """Another worker has taken the message over: it waited here for longer than its lease."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What sending needs: where the outbox is, which channels there are, how long a worker may hold a message."""

    database: Database
    channels: Mapping[str, Channel]
    paging: Paging
    lease: timedelta
    breakers: Breakers = field(default_factory=Breakers)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: how it ended, when it began and how long it took."""

    outcome: Outcome
    began_at: datetime
    latency_ms: int


def claim(delivery: Delivery, channel: str | None, *, limit: int) -> Sequence[Notification]:
    """Take due messages of a channel under a lease; without a channel, those that no channel here can send."""
    with delivery.database.transaction() as session:
        at = now(session)
        claimed = crud_notification.claim_due(
            session,
            channel,
            beside=list(delivery.channels),
            at=at,
            lease_until=at + delivery.lease,
            lease_token=uuid4(),
            limit=limit,
        )
    if claimed:
        reach("claimed")
    return claimed


def release_expired(session: Session) -> int:
    """Give back what a dead worker had claimed, to be sent again under the same key."""
    released = crud_notification.release_expired(session, at=now(session))
    if released:
        log.warning("delivery_leases_expired", notification_ids=list(released))
    return len(released)


def send(delivery: Delivery, message: Notification) -> None:
    """Send one claimed message, unless it is void by now, and record what came of it. Never raises."""
    log_fields = {"notification_id": message.id, "incident_id": message.incident_id, "channel": message.channel}
    try:
        if (wait := _wait_seconds(delivery, message)) > 0:
            give_back(delivery, message, wait_seconds=wait)
            log.info("delivery_deferred", wait_seconds=round(wait, 1), **log_fields)
            return
        began_at = _moment_to_send(delivery, message)
        if began_at is None:
            log.info("delivery_cancelled", **log_fields)
            return
        reach("before_send")
        attempt = _attempt(delivery, message, began_at)
        reach("after_send")
        is_recorded = _record_in_time(delivery, message, attempt)
        reach("recorded")
    except LeaseLost:
        log.warning("delivery_lease_lost", **log_fields)
        return
    except Exception:
        # The lease stays and will expire: the message is sent again rather than lost.
        log.exception("delivery_interrupted", **log_fields)
        return
    event = "delivery_attempted" if is_recorded else "delivery_lease_lost"
    log.info(event, result=attempt.outcome.result, latency_ms=attempt.latency_ms, attempt=message.attempt, **log_fields)


def give_back(delivery: Delivery, message: Notification, *, wait_seconds: float = 0.0) -> None:
    """End the lease of a message that was not tried: it is due again after a while, with as many attempts as before."""
    with delivery.database.transaction() as session:
        until = now(session) + timedelta(seconds=wait_seconds)
        crud_notification.defer(session, message.id, lease_token=_lease_of(message), until=until)


def _wait_seconds(delivery: Delivery, message: Notification) -> float:
    channel = delivery.channels.get(message.channel)
    if channel is None:
        return 0.0
    return delivery.breakers.wait_seconds(channel.name, channel.provider(message.address), now=time.monotonic())


def _moment_to_send(delivery: Delivery, message: Notification) -> datetime | None:
    """The time, or None after cancelling a page whose incident somebody has acknowledged meanwhile."""
    with delivery.database.transaction() as session:
        at = now(session)
        standing = crud_notification.standings(session, [message])[message.id]
        _hold(delivery, session, message, standing, at=at)
        is_wanted = _is_still_wanted(message, standing)
        if message.kind is NotificationKind.BUNDLE:
            is_wanted = _rewrite_bundle(session, message, at=at)
        if is_wanted and standing.is_recipient_active is not False:
            return at
        values: dict[str, Any] = {"status": DeliveryStatus.CANCELLED, "ended_at": at, "fallback_at": None}
        if is_wanted:
            values |= {"last_error": DEACTIVATED, "fallback_at": at if message.kind in PAGES else None}
        outcome_service.end(session, message, values)
        return None


def _hold(delivery: Delivery, session: Session, message: Notification, standing: Standing, *, at: datetime) -> None:
    """Renew the lease of a message that has waited for its turn: it must outlast the call. Raises LeaseLost."""
    if standing.lease_token != message.lease_token or standing.lease_until is None:
        raise LeaseLost
    if standing.lease_until - at < WHOLE_ENOUGH * delivery.lease:
        token, until = _lease_of(message), at + delivery.lease
        if not crud_notification.renew(session, message.id, lease_token=token, lease_until=until):
            raise LeaseLost


def _is_still_wanted(message: Notification, standing: Standing) -> bool:
    if message.is_exempt or message.incident_id is None:
        return True
    return standing.status is IncidentStatus.OPEN and standing.cycle == message.cycle


def _rewrite_bundle(session: Session, bundle: Notification, *, at: datetime) -> bool:
    """Leave out of a bundle what is void by now. False if nothing is left."""
    pages = crud_notification.bundled_in(session, bundle.id)
    standings = crud_notification.standings(session, pages)
    wanted = [page for page in pages if _is_still_wanted(page, standings[page.id])]
    for page in pages:
        if page not in wanted:
            page.status, page.ended_at, page.fallback_at = DeliveryStatus.CANCELLED, at, None
    if wanted and len(wanted) < len(bundle.facts["incidents"]):
        pace_service.write(session, bundle, wanted)
    return bool(wanted)


def _attempt(delivery: Delivery, message: Notification, began_at: datetime) -> Attempt:
    channel = delivery.channels.get(message.channel)
    started = time.monotonic()
    if channel is None:
        outcome = Outcome(AttemptOutcome.RETRY, error=f"The channel {message.channel} is not set up here.")
    else:
        outcome = channel.send(_envelope(message))
        _count(delivery, channel, message, outcome)
    return Attempt(outcome, began_at, latency_ms=round((time.monotonic() - started) * 1000))


def _envelope(message: Notification) -> Envelope:
    return Envelope(
        address=message.address,
        subject=message.subject,
        body=message.body,
        idempotency_key=message.idempotency_key,
        incident_id=message.incident_id,
        kind=message.kind,
        html=message.html,
        facts=message.facts,
    )


def _count(delivery: Delivery, channel: Channel, message: Notification, outcome: Outcome) -> None:
    """Tell the circuit breaker. A provider that refuses an address, or says "later", is alive."""
    has_failed = outcome.result is AttemptOutcome.RETRY and outcome.status_code != TOO_MANY_REQUESTS
    error = (outcome.error or "temporary failure") if has_failed else None
    provider = channel.provider(message.address)
    if delivery.breakers.record(channel.name, provider, message.id, error=error, now=time.monotonic()):
        log.warning("circuit_breaker_moved", channel=channel.name, provider=provider, is_open=error is not None)


def _record_in_time(delivery: Delivery, message: Notification, attempt: Attempt) -> bool:
    """Record the outcome; while the database is away, try again until the lease would have expired."""
    deadline = time.monotonic() + delivery.lease.total_seconds()
    while True:
        try:
            with delivery.database.transaction() as session:
                return _record(delivery, session, message, attempt)
        except Exception as error:
            if not is_unavailable(error) or time.monotonic() > deadline:
                raise
            log.warning("delivery_not_recorded_yet", notification_id=message.id)
            time.sleep(RECORD_PAUSE_SECONDS)


def _record(delivery: Delivery, session: Session, message: Notification, attempt: Attempt) -> bool:
    """Write the outcome, fenced by the lease: False if another worker has taken the message over."""
    at = now(session)
    first_attempt_at = message.first_attempt_at or attempt.began_at
    following = follow_up(attempt.outcome, attempt=message.attempt, first_attempt_at=first_attempt_at, now=at)
    crud_attempt.stage(session, _attempt_row(message.id, attempt))
    values: dict[str, Any] = {
        "next_attempt_at": following.next_attempt_at,
        "first_attempt_at": first_attempt_at,
        "last_error": attempt.outcome.error,
        "provider_id": attempt.outcome.provider_id,
    }
    if not outcome_service.settle(session, message, following.status, values, attempt.outcome, at=at):
        return False
    if attempt.outcome.is_address_gone:
        verification_service.disable_gone(session, message, delivery.paging, at=at)
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


def _lease_of(message: Notification) -> UUID:
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return message.lease_token
