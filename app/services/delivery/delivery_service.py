"""Sends the messages of the outbox, with no transaction open. At least once, each time with the same key."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.core import facts, spans
from app.core.channel import Channel, Envelope, Outcome, without_answer
from app.core.crash_points import reach
from app.core.spans import Kind, Span
from app.core.storable import scrub
from app.core.vocabulary import AttemptOutcome
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.models import Notification
from app.services.delivery import hold_service, lease_service, readiness_service
from app.services.delivery.breaker import says_later
from app.services.delivery.held import Key
from app.services.delivery.ports import Delivery
from app.services.delivery.readiness_service import Check, LeaseLost
from app.services.delivery.recording_service import (
    PATIENCE_SECONDS,
    TOGETHER_SECONDS,
    Attempt,
    log_fields,
    outlast,
)
from app.services.delivery.retry import GIVE_UP_AFTER
from app.services.delivery.transition import Event, EventType

log = structlog.get_logger()

LONGEST_PROVIDER_ID = 255


@dataclass(frozen=True, slots=True)
class Wait:
    """A message whose provider may not be called yet, for how many seconds, and when that was asked."""

    message: Notification
    key: Key
    seconds: float
    asked_at: float


def try_once(delivery: Delivery, message: Notification, checked: Check | None = None) -> Attempt | None:
    """Send one claimed message. None if it is no longer needed. Never raises.

    `checked` is what was found about it when it was claimed, after `set_aside` had let it pass.
    """
    with spans.span(f"send {message.channel}", Kind.CONSUMER, parent=message.traceparent) as span:
        attempt = _try(delivery, message, checked)
        _tell(span, message, attempt)
        return attempt


def _tell(span: Span, message: Notification, attempt: Attempt | None) -> None:
    outcome = None if attempt is None else attempt.outcome
    span.tell(
        {
            "ims.channel": message.channel,
            "ims.notification_id": message.id,
            "ims.incident_id": message.incident_id,
            "ims.attempt": message.attempt,
            "ims.outcome": None if outcome is None else outcome.result.value,
        }
    )
    if outcome is not None and outcome.result is not AttemptOutcome.ACCEPTED:
        span.fail(without_answer(outcome.error) or outcome.result)


def _try(delivery: Delivery, message: Notification, checked: Check | None) -> Attempt | None:
    fields = log_fields(message)
    try:
        if not _is_fresh(checked) and outlast(delivery, lambda: _is_deferred(delivery, message)):
            return None
        began_at = outlast(delivery, lambda: readiness_service.moment_to_send(delivery, message, checked))
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
        # The lease stays until it expires: the message is sent again rather than lost.
        log.exception("delivery_interrupted", **fields)
        return None
    return attempt


def _is_fresh(checked: Check | None) -> bool:
    """True if its provider was asked for just now, too."""
    return checked is not None and checked.is_fresh


def set_aside(delivery: Delivery, messages: Sequence[Notification]) -> list[Notification]:
    """Release, together, those of the claimed messages whose provider may not be called yet. Returns the others.

    While the database or a row is busy it releases none: then each message waits by itself.
    """
    waits = _waits(delivery, messages)
    try:
        deferred = _defer(delivery, waits, patience_seconds=TOGETHER_SECONDS) if waits else set()
    except SQLAlchemyError as error:
        log.info("delivery_not_deferred_together", messages=len(waits), reason=type(error).__name__)
        deferred = set()
    return [message for message in messages if message.id not in deferred]


def _is_deferred(delivery: Delivery, message: Notification) -> bool:
    """True if it was released, because its provider may not be called yet."""
    waits = _waits(delivery, [message])
    return bool(waits) and bool(_defer(delivery, waits, patience_seconds=PATIENCE_SECONDS))


def _waits(delivery: Delivery, messages: Sequence[Notification]) -> list[Wait]:
    """The messages whose provider may not be called yet."""
    waits = [_wait(delivery, message) for message in messages]
    return [wait for wait in waits if wait is not None and wait.seconds > 0]


def _defer(delivery: Delivery, waits: Sequence[Wait], *, patience_seconds: float) -> set[int]:
    """Release messages. Returns their ids: a message whose time is up is not among them, but gets one last try."""
    with delivery.database.transaction() as session:
        at = now(session)
        wait_briefly(session, patience_seconds)
        deferred = [(wait, until) for wait in waits if (until := _until(wait, at)) > at]
        lease_service.defer_each(
            session, [(wait.message, _given_back(wait.message, until, at)) for wait, until in deferred]
        )
    for wait, until in deferred:
        log.info("delivery_deferred", until=until, **log_fields(wait.message))
    held = [(wait.key, wait.message, until) for wait, until in deferred]
    hold_service.hold(delivery, held, asked_at=min(wait.asked_at for wait in waits))
    return {wait.message.id for wait, _ in deferred}


def _until(wait: Wait, at: datetime) -> datetime:
    """Due again when its provider is, but no later than its time is up."""
    began_at = wait.message.first_attempt_at or at
    return min(at + timedelta(seconds=wait.seconds), began_at + GIVE_UP_AFTER)


def _given_back(message: Notification, until: datetime, at: datetime) -> Event:
    return Event(EventType.GIVEN_BACK, until=until, first_attempt_at=message.first_attempt_at or at)


def _wait(delivery: Delivery, message: Notification) -> Wait | None:
    channel = delivery.channels.get(message.channel)
    if channel is None:
        return None
    key, at = (channel.name, channel.provider(message.address)), time.monotonic()
    return Wait(message, key, delivery.breakers.wait_seconds(*key, at=at), at)


def _attempt(delivery: Delivery, message: Notification, began_at: datetime) -> Attempt:
    channel = delivery.channels.get(message.channel)
    started = time.monotonic()
    if channel is None:
        outcome = Outcome(AttemptOutcome.RETRY, error=f"The channel {message.channel} is not set up here.")
    else:
        outcome = _outcome_of(delivery, channel, message, began_at=started)
    return Attempt(message, outcome, began_at, latency_ms=round((time.monotonic() - started) * 1000))


def _outcome_of(delivery: Delivery, channel: Channel, message: Notification, *, began_at: float) -> Outcome:
    """The channel's outcome, or a failure if it raises: otherwise the message would be retried for ever.

    An exception in the channel says nothing about its provider.
    """
    try:
        outcome = _storable(channel.send(_envelope(message)))
    except Exception as error:
        log.exception("channel_failed", **log_fields(message))
        return Outcome(AttemptOutcome.RETRY, error=f"The channel failed: {type(error).__name__}.")
    _count(delivery, channel, message, outcome, began_at=began_at)
    return outcome


def _storable(outcome: Outcome) -> Outcome:
    """The outcome with storable text: a provider may answer anything."""
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
        facts=facts.read(message.kind, message.facts),
    )


def _count(delivery: Delivery, channel: Channel, message: Notification, outcome: Outcome, *, began_at: float) -> None:
    """Tell the circuit breaker. A provider that refuses or defers one address is alive."""
    has_failed = outcome.result is AttemptOutcome.RETRY and not says_later(outcome.status_code)
    error = (outcome.error or "temporary failure") if has_failed else None
    provider = channel.provider(message.address)
    at = time.monotonic()
    if not delivery.breakers.record(channel.name, provider, message.id, error=error, at=at, began_at=began_at):
        return
    if error is None:
        log.info("circuit_breaker_closed", channel=channel.name, provider=provider)
    else:
        log.warning("circuit_breaker_opened", channel=channel.name, provider=provider)
