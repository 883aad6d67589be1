"""Records the outcomes of sent messages, fenced by their leases. Waits while the database is away."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog

from app.core import tracing
from app.core.channel import Outcome
from app.core.crash_points import reach
from app.core.metrics import LEASE_LOST
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.crud import crud_attempt, crud_timeline
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.db.session import is_lock_timeout, is_unavailable
from app.models import Notification
from app.services import counting_service
from app.services.contacts import verification_service
from app.services.counting_service import Delivered
from app.services.delivery import outcome_service
from app.services.delivery.outcome_service import Ended
from app.services.delivery.ports import Delivery
from app.services.delivery.retry import follow_up
from app.services.delivery.transition import Event, EventType

log = structlog.get_logger()

PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 5.0  # for a lock on a sent message
TOGETHER_SECONDS = 0.2  # for locks on several; then each is tried alone
EVENTS = {
    DeliveryStatus.ACCEPTED: EventType.ACCEPTED,
    DeliveryStatus.RETRY: EventType.FAILED,
    DeliveryStatus.DEAD: EventType.GAVE_UP,
}
OUTCOMES = {EventType.ACCEPTED: AttemptOutcome.ACCEPTED, EventType.FAILED: AttemptOutcome.RETRY}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: its message, outcome, start and duration."""

    message: Notification
    outcome: Outcome
    began_at: datetime
    latency_ms: int


def record_all(delivery: Delivery, attempts: Sequence[Attempt]) -> None:
    """Record the outcomes of messages, together if possible, else one by one. Never raises.

    Waits only briefly for a locked message, because the whole channel waits with it. Then the message keeps its lease
    and is sent again with the same key after that. `expire_leases` skips locked messages, so a message that is itself
    locked is sent again only after the lock is released.
    """
    batches = [list(attempts)]
    while batches:
        batch = batches.pop()
        error = _record_batch(delivery, batch)
        if error is not None and len(batch) > 1:
            batches = [[attempt] for attempt in reversed(batch)]
        elif error is not None:
            _log_unrecorded(batch[0], error)


def _record_batch(delivery: Delivery, attempts: Sequence[Attempt]) -> Exception | None:
    """Record and log the outcomes of messages. Returns the error if none could be recorded."""
    try:
        are_recorded = outlast(delivery, lambda: _record_together(delivery, attempts))
    except Exception as error:  # noqa: BLE001 - the caller logs it, or tries each message alone
        return error
    for attempt, is_recorded in zip(attempts, are_recorded, strict=True):
        reach("recorded")
        said = {"result": attempt.outcome.result, "latency_ms": attempt.latency_ms, "attempt": attempt.message.attempt}
        event = "delivery_attempted" if is_recorded else "delivery_lease_lost"
        log.info(event, **said, **log_fields(attempt.message))
    return None


def _log_unrecorded(attempt: Attempt, error: Exception) -> None:
    fields = log_fields(attempt.message)
    if is_lock_timeout(error):
        log.warning("delivery_not_recorded", result=attempt.outcome.result, **fields)
    else:
        log.error("delivery_interrupted", exc_info=error, **fields)


def log_fields(message: Notification) -> dict[str, Any]:
    """The fields of a message in the log."""
    about = {"notification_id": message.id, "incident_id": message.incident_id, "channel": message.channel}
    return about | tracing.named_in_logs(message.traceparent)


def outlast(delivery: Delivery, job: Callable[[], Result]) -> Result:
    """Do a job. While the database is away, retry it until the message's lease would have expired.

    Raises any other error of the job at once, a lock timeout included: it shows that the database is reachable.
    """
    deadline = time.monotonic() + delivery.lease.total_seconds()
    while True:
        try:
            return job()
        except Exception as error:
            if not is_unavailable(error) or is_lock_timeout(error) or time.monotonic() > deadline:
                raise
            log.warning("delivery_waits_for_database", reason=type(error).__name__)
            time.sleep(PAUSE_SECONDS)


def _record_together(delivery: Delivery, attempts: Sequence[Attempt]) -> list[bool]:
    """Record outcomes in one transaction. False for each message that another worker has taken over."""
    with delivery.database.transaction() as session:
        wait_briefly(session, PATIENCE_SECONDS if len(attempts) == 1 else TOGETHER_SECONDS)
        at = now(session)
        crud_attempt.insert_all(session, [_attempt_row(attempt) for attempt in attempts])
        names = outcome_service.recipients(session, [attempt.message for attempt in attempts])
        ended = [Ended(attempt.message, _event(attempt, at=at), attempt.outcome) for attempt in attempts]
        entries = outcome_service.end_attempts(session, ended, at=at, names=names)
        crud_timeline.insert_all(session, [entry for found in entries.values() for entry in found])
        for attempt in attempts:
            if attempt.outcome.is_address_gone and attempt.message.id in entries:
                verification_service.disable_gone(session, attempt.message, delivery.paging, at=at)
        counted = [
            _delivered(attempt, one.event, is_ours=attempt.message.id in entries)
            for attempt, one in zip(attempts, ended, strict=True)
        ]
        counting_service.deliveries(session, counted)
        return [attempt.message.id in entries for attempt in attempts]


def _delivered(attempt: Attempt, event: Event, *, is_ours: bool) -> Delivered:
    """The attempt for the metrics. What gave up is dead, too."""
    outcome = OUTCOMES.get(event.type, AttemptOutcome.DEAD) if is_ours else LEASE_LOST
    return Delivered(attempt.message.channel, outcome, attempt.latency_ms / 1000)


def _event(attempt: Attempt, *, at: datetime) -> Event:
    """The event of the attempt for its message."""
    outcome, number = attempt.outcome, attempt.message.attempt
    began_at = attempt.message.first_attempt_at or attempt.began_at
    following = follow_up(outcome, attempt=number, first_attempt_at=began_at, at=at)
    happened = EVENTS[following.status]
    if happened is EventType.GAVE_UP and outcome.result is AttemptOutcome.DEAD:
        happened = EventType.REFUSED
    return Event(
        happened,
        until=following.next_attempt_at,
        error=outcome.error,
        provider_id=outcome.provider_id,
        first_attempt_at=began_at,
    )


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "notification_id": attempt.message.id,
        "at": attempt.began_at,
        "outcome": attempt.outcome.result,
        "status_code": attempt.outcome.status_code,
        "latency_ms": attempt.latency_ms,
        "error": attempt.outcome.error,
    }
