"""Sends what the outbox holds, with no transaction open. At least once, with the same key each time."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session

from app.core.channel import Channel, Envelope, Outcome
from app.core.crash_points import reach
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, IncidentStatus, NotificationKind
from app.crud import crud_notification
from app.crud.base import now
from app.crud.crud_notification import Standing
from app.models import Notification
from app.services import outcome_service, pace_service, recording_service
from app.services.ports import Delivery
from app.services.recording_service import Attempt, log_fields, outlast

log = structlog.get_logger()

DEACTIVATED = "The recipient's account was deactivated."
TOO_MANY_REQUESTS = 429
WHOLE_ENOUGH = 0.9  # of a lease


class LeaseLost(Exception):
    """Another worker has taken the message over: it waited here for longer than its lease."""


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
    attempt = try_once(delivery, message)
    if attempt is not None:
        recording_service.record_all(delivery, [attempt])


def try_once(delivery: Delivery, message: Notification) -> Attempt | None:
    """Send one claimed message, unless it is void by now: then None. Never raises."""
    fields = log_fields(message)
    try:
        if (wait := _wait_seconds(delivery, message)) > 0:
            outlast(delivery, lambda: give_back(delivery, message, wait_seconds=wait))
            log.info("delivery_deferred", wait_seconds=round(wait, 1), **fields)
            return None
        began_at = outlast(delivery, lambda: _moment_to_send(delivery, message))
        if began_at is None:
            log.info("delivery_cancelled", **fields)
            return None
        reach("before_send")
        attempt = _attempt(delivery, message, began_at)
        reach("after_send")
    except LeaseLost:
        log.warning("delivery_lease_lost", **fields)
        return None
    except Exception:
        # The lease stays and will expire: the message is sent again rather than lost.
        log.exception("delivery_interrupted", **fields)
        return None
    return attempt


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
    """The time, or None after cancelling a page whose incident somebody has acknowledged meanwhile.

    Raises LeaseLost. Most often one look is all that it takes.
    """
    with delivery.database.reading() as session:
        standing = crud_notification.standings(session, [message])[message.id]
    is_held = _is_mine(message, standing) and not _is_short(delivery, standing)
    if is_held and message.kind is not NotificationKind.BUNDLE and _is_to_be_sent(message, standing):
        return standing.at
    with delivery.database.transaction() as session:
        return _make_ready(delivery, session, message)


def _make_ready(delivery: Delivery, session: Session, message: Notification) -> datetime | None:
    """Renew its lease, write a bundle anew, or cancel what is void."""
    standing = crud_notification.standings(session, [message])[message.id]
    at = standing.at
    _hold(delivery, session, message, standing)
    is_wanted = _is_still_wanted(message, standing)
    if message.kind is NotificationKind.BUNDLE:
        is_wanted = _rewrite_bundle(session, message, at=at)
    if is_wanted and standing.is_recipient_active is not False:
        return at
    values: dict[str, Any] = {"status": DeliveryStatus.CANCELLED, "ended_at": at, "fallback_at": None}
    if is_wanted:
        values |= {"last_error": DEACTIVATED, "fallback_at": at if message.kind.is_page else None}
    outcome_service.end(session, message, values)
    return None


def _is_mine(message: Notification, standing: Standing) -> bool:
    return standing.lease_until is not None and standing.lease_token == message.lease_token


def _is_short(delivery: Delivery, standing: Standing) -> bool:
    """True if the lease might not outlast the call."""
    return standing.lease_until is None or standing.lease_until - standing.at < WHOLE_ENOUGH * delivery.lease


def _hold(delivery: Delivery, session: Session, message: Notification, standing: Standing) -> None:
    """Renew the lease of a message that has waited for its turn. Raises LeaseLost."""
    if not _is_mine(message, standing):
        raise LeaseLost
    if _is_short(delivery, standing):
        token, until = _lease_of(message), standing.at + delivery.lease
        if not crud_notification.renew(session, message.id, lease_token=token, lease_until=until):
            raise LeaseLost


def _is_to_be_sent(message: Notification, standing: Standing) -> bool:
    return _is_still_wanted(message, standing) and standing.is_recipient_active is not False


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
    return Attempt(message, outcome, began_at, latency_ms=round((time.monotonic() - started) * 1000))


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


def _lease_of(message: Notification) -> UUID:
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return message.lease_token
