"""Sends what the outbox holds, with no transaction open. At least once, with the same key each time."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.channel import Channel, Envelope, Outcome
from app.core.crash_points import reach
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, NotificationKind
from app.crud import crud_attempt, crud_heartbeat, crud_lease, crud_outbox, crud_timeline
from app.crud.base import now, wait_briefly
from app.crud.crud_lease import DeliverySnapshot
from app.db.session import is_contended
from app.models import Notification
from app.services.delivery import outcome_service, recording_service, throttle_service
from app.services.delivery.breaker import says_later
from app.services.delivery.ports import Delivery
from app.services.delivery.recording_service import PATIENCE_SECONDS, Attempt, log_fields, outlast
from app.services.incidents.alert import scrub
from app.services.notification import GIVE_UP_AFTER
from app.services.notification_service import is_wanted

log = structlog.get_logger()

CUT_OFF = "Its worker did not say what came of it: it may have been sent."
DEACTIVATED = "The recipient's account was deactivated."
LONGEST_PROVIDER_ID = 255
WHOLE_ENOUGH = 0.9  # of a lease


class LeaseLost(Exception):
    """Another worker has taken the message over: it waited here for longer than its lease."""


def claim(delivery: Delivery, channel: str | None, *, limit: int) -> Sequence[Notification]:
    """Take due messages of a channel under a lease; without a channel, those that no worker alive can send."""
    with delivery.database.transaction() as session:
        at = now(session)
        claimed = crud_outbox.claim_due(
            session,
            channel,
            excluding=() if channel else crud_heartbeat.served(session, delivery.channels, at=at),
            at=at,
            lease_until=at + delivery.lease,
            lease_token=uuid4(),
            limit=limit,
        )
    if claimed:
        reach("claimed")
    return claimed


def expire_leases(session: Session) -> int:
    """Give back what a dead worker had claimed, to be sent again under the same key. It is kept as an attempt.

    What was cut off so often that its time is up is dead; while others hold what ends with it, it stays as it is.
    """
    at = now(session)
    last = crud_lease.lock_cut_off(session, at=at, give_up_after=GIVE_UP_AFTER)
    if last:
        wait_briefly(session)
    given_up = [message.id for message in last if _is_given_up(session, message, at=at)]
    released = crud_lease.expire_leases(session, at=at, excluding=[message.id for message in last])
    cut_off = {"at": at, "outcome": AttemptOutcome.RETRY, "status_code": None, "latency_ms": 0, "error": CUT_OFF}
    crud_attempt.insert_all(session, [{"notification_id": id_, **cut_off} for id_ in (*given_up, *released)])
    if released:
        log.warning("delivery_leases_expired", notification_ids=list(released))
    return len(given_up) + len(released)


def _is_given_up(session: Session, message: Notification, *, at: datetime) -> bool:
    """End a message. False, and nothing is written, if others hold a page that it names or its incident."""
    values = {"last_error": CUT_OFF, "next_attempt_at": None}
    outcome = Outcome(AttemptOutcome.DEAD, error=CUT_OFF)
    try:
        with session.begin_nested():
            entries = outcome_service.settle(session, message, DeliveryStatus.DEAD, values, outcome, at=at)
            crud_timeline.insert_all(session, entries or ())
    except OperationalError as error:
        if not is_contended(error):
            raise
        log.info("delivery_end_waits", reason=type(error.orig).__name__, **log_fields(message))
        return False
    log.error("delivery_given_up", **log_fields(message))
    return True


def send(delivery: Delivery, message: Notification) -> None:
    """Send one claimed message, unless it is void by now, and record what came of it. Never raises."""
    attempt = try_once(delivery, message)
    if attempt is not None:
        recording_service.record_all(delivery, [attempt])


def try_once(delivery: Delivery, message: Notification) -> Attempt | None:
    """Send one claimed message, unless it is void by now: then None. Never raises."""
    fields = log_fields(message)
    try:
        if outlast(delivery, lambda: _is_deferred(delivery, message)):
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


def give_back(delivery: Delivery, message: Notification) -> None:
    """End the lease of a message that was not tried: it is due again at once, with as many attempts as before."""
    with delivery.database.transaction() as session:
        _defer(session, message, until=now(session), first_attempt_at=message.first_attempt_at)


def _is_deferred(delivery: Delivery, message: Notification) -> bool:
    """True if its provider is left alone for now. A message whose time is up is tried once more, and ends by that."""
    wait = _wait_seconds(delivery, message)
    if wait <= 0:
        return False
    with delivery.database.transaction() as session:
        at = now(session)
        began_at = message.first_attempt_at or at
        deadline = began_at + GIVE_UP_AFTER
        if at >= deadline:
            return False
        until = min(at + timedelta(seconds=wait), deadline)
        _defer(session, message, until=until, first_attempt_at=began_at)
    log.info("delivery_deferred", wait_seconds=round(wait, 1), **log_fields(message))
    return True


def _defer(session: Session, message: Notification, *, until: datetime, first_attempt_at: datetime | None) -> None:
    wait_briefly(session, PATIENCE_SECONDS)
    token = _lease_of(message)
    crud_lease.defer(session, message.id, lease_token=token, until=until, first_attempt_at=first_attempt_at)


def _wait_seconds(delivery: Delivery, message: Notification) -> float:
    channel = delivery.channels.get(message.channel)
    if channel is None:
        return 0.0
    return delivery.breakers.wait_seconds(channel.name, channel.provider(message.address), at=time.monotonic())


def _moment_to_send(delivery: Delivery, message: Notification) -> datetime | None:
    """The time, or None after cancelling a page whose incident somebody has acknowledged meanwhile.

    Raises LeaseLost. Most often one look is all that it takes.
    """
    with delivery.database.reading() as session:
        standing = crud_lease.snapshots(session, [message])[message.id]
    is_held = _is_mine(message, standing) and not _is_short(delivery, standing)
    if is_held and message.kind is not NotificationKind.BUNDLE and _is_to_be_sent(message, standing):
        return standing.at
    with delivery.database.transaction() as session:
        wait_briefly(session, PATIENCE_SECONDS)
        return _make_ready(delivery, session, message)


def _make_ready(delivery: Delivery, session: Session, message: Notification) -> datetime | None:
    """Renew its lease, write a bundle anew, or cancel what is void."""
    standing = crud_lease.snapshots(session, [message])[message.id]
    at = standing.at
    _hold(delivery, session, message, standing)
    still_wanted = is_wanted(message, standing)
    if message.kind is NotificationKind.BUNDLE:
        still_wanted = _rewrite_bundle(session, message, at=at)
    if still_wanted and standing.is_recipient_active is not False:
        return at
    values: dict[str, Any] = {"status": DeliveryStatus.CANCELLED, "ended_at": at, "fallback_at": None}
    if still_wanted:
        values |= {"last_error": DEACTIVATED, "fallback_at": at if message.kind.is_page else None}
        _cancel_bundled(session, message, at=at)
    outcome_service.end(session, message, values)
    return None


def _is_mine(message: Notification, standing: DeliverySnapshot) -> bool:
    return standing.lease_until is not None and standing.lease_token == message.lease_token


def _is_short(delivery: Delivery, standing: DeliverySnapshot) -> bool:
    """True if the lease might not outlast the call."""
    return standing.lease_until is None or standing.lease_until - standing.at < WHOLE_ENOUGH * delivery.lease


def _hold(delivery: Delivery, session: Session, message: Notification, standing: DeliverySnapshot) -> None:
    """Renew the lease of a message that has waited for its turn. Raises LeaseLost."""
    if not _is_mine(message, standing):
        raise LeaseLost
    if _is_short(delivery, standing):
        token, until = _lease_of(message), standing.at + delivery.lease
        if not crud_lease.renew(session, message.id, lease_token=token, lease_until=until):
            raise LeaseLost


def _is_to_be_sent(message: Notification, standing: DeliverySnapshot) -> bool:
    return is_wanted(message, standing) and standing.is_recipient_active is not False


def _rewrite_bundle(session: Session, bundle: Notification, *, at: datetime) -> bool:
    """Leave out of a bundle what is void by now. False if nothing is left."""
    pages = crud_outbox.bundled_in(session, bundle.id)
    standings = crud_lease.snapshots(session, pages)
    wanted = [page for page in pages if is_wanted(page, standings[page.id])]
    for page in pages:
        if page not in wanted:
            page.status, page.ended_at, page.fallback_at = DeliveryStatus.CANCELLED, at, None
    if wanted and len(wanted) < len(bundle.facts["incidents"]):
        throttle_service.write(session, bundle, wanted)
    return bool(wanted)


def _cancel_bundled(session: Session, bundle: Notification, *, at: datetime) -> None:
    """The pages that a bundle names end with it, and each is looked after by itself."""
    for page in crud_outbox.bundled_in(session, bundle.id):
        page.status, page.ended_at, page.fallback_at = DeliveryStatus.CANCELLED, at, at
        page.last_error = DEACTIVATED


def _attempt(delivery: Delivery, message: Notification, began_at: datetime) -> Attempt:
    channel = delivery.channels.get(message.channel)
    started = time.monotonic()
    if channel is None:
        outcome = Outcome(AttemptOutcome.RETRY, error=f"The channel {message.channel} is not set up here.")
    else:
        outcome = _outcome_of(delivery, channel, message)
    return Attempt(message, outcome, began_at, latency_ms=round((time.monotonic() - started) * 1000))


def _outcome_of(delivery: Delivery, channel: Channel, message: Notification) -> Outcome:
    """What the channel says, or that it failed: else the message would be sent for ever and never be dead.

    A channel that fails in itself says nothing of its provider.
    """
    try:
        outcome = _storable(channel.send(_envelope(message)))
    except Exception as error:
        log.exception("channel_failed", **log_fields(message))
        return Outcome(AttemptOutcome.RETRY, error=f"The channel failed: {type(error).__name__}.")
    _count(delivery, channel, message, outcome)
    return outcome


def _storable(outcome: Outcome) -> Outcome:
    """The outcome without what PostgreSQL cannot keep: a provider may say anything."""
    said = {name: getattr(outcome, name) for name in ("provider_id", "error", "answer")}
    texts: dict[str, Any] = {name: scrub(text) for name, text in said.items() if text is not None}
    if "provider_id" in texts:
        texts["provider_id"] = texts["provider_id"][:LONGEST_PROVIDER_ID]
    return replace(outcome, **texts)


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
    """Tell the circuit breaker. A provider that refuses an address, or says "later" of one, is alive."""
    has_failed = outcome.result is AttemptOutcome.RETRY and not says_later(outcome.status_code)
    error = (outcome.error or "temporary failure") if has_failed else None
    provider = channel.provider(message.address)
    if delivery.breakers.record(channel.name, provider, message.id, error=error, at=time.monotonic()):
        log.warning("circuit_breaker_moved", channel=channel.name, provider=provider, is_open=error is not None)


def _lease_of(message: Notification) -> UUID:
    if message.lease_token is None:
        raise ValueError(f"notification {message.id} was not claimed")
    return message.lease_token
