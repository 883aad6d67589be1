"""Leases: a worker claims messages, releases them, or loses them when it dies."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.crash_points import reach
from app.core.vocabulary import AttemptOutcome
from app.crud import crud_attempt, crud_heartbeat, crud_lease, crud_outbox, crud_timeline
from app.crud.clock import now
from app.crud.crud_outbox import Lease
from app.crud.locks import wait_briefly
from app.db.session import is_contended
from app.models import Notification
from app.services import counting_service
from app.services.delivery import outcome_service
from app.services.delivery.outcome_service import Ended
from app.services.delivery.ports import Delivery
from app.services.delivery.recording_service import PATIENCE_SECONDS, log_fields
from app.services.delivery.retry import GIVE_UP_AFTER
from app.services.delivery.transition import Event, EventType
from app.services.delivery.transition_service import apply_all, apply_each_leased

log = structlog.get_logger()

CUT_OFF = "The worker did not record the outcome in time. The message may have been sent."


def claim(delivery: Delivery, channel: str | None, *, limit: int) -> Sequence[Notification]:
    """Claim due messages of a channel under a lease; without a channel, those that no live worker can send."""
    with delivery.database.transaction() as session:
        at = now(session)
        claimed = crud_outbox.claim_due(
            session,
            channel,
            lease=Lease(at, at + delivery.lease, uuid4()),
            limit=limit,
            excluding=() if channel else crud_heartbeat.served(session, delivery.channels, at=at),
        )
    if claimed:
        reach("claimed")
    return claimed


def give_back(delivery: Delivery, message: Notification) -> None:
    """Release a message that was not tried. It is due again at once, with its attempts unchanged."""
    with delivery.database.transaction() as session:
        wait_briefly(session, PATIENCE_SECONDS)
        given_back = Event(EventType.GIVEN_BACK, until=now(session), first_attempt_at=message.first_attempt_at)
        defer_each(session, [(message, given_back)])


def defer_each(session: Session, given_back: Sequence[tuple[Notification, Event]]) -> None:
    """Release messages that were not tried, each with its GIVEN_BACK event, with one statement."""
    apply_each_leased(session, given_back, at=now(session))


def expire_leases(session: Session) -> int:
    """Make messages that a dead worker had claimed due again, with the same key. Records it as an attempt.

    A message whose time is up after several such attempts is dead. If a row that ends with it is locked, it waits.
    """
    at = now(session)
    last = crud_lease.lock_cut_off(session, at=at, give_up_after=GIVE_UP_AFTER)
    if last:
        wait_briefly(session)
    given_up = [message.id for message in last if _is_given_up(session, message, at=at)]
    expired = crud_lease.lock_expired(session, at=at, excluding=[message.id for message in last])
    apply_all(session, expired, Event(EventType.LEASE_EXPIRED), at=at)
    expired_ids = [message.id for message in expired]
    cut_off = {"at": at, "outcome": AttemptOutcome.RETRY, "status_code": None, "latency_ms": 0, "error": CUT_OFF}
    crud_attempt.insert_all(session, [{"notification_id": id_, **cut_off} for id_ in (*given_up, *expired_ids)])
    if expired_ids:
        log.warning("delivery_leases_expired", notification_ids=expired_ids)
    counting_service.leases_recovered(session, len(given_up) + len(expired_ids))
    return len(given_up) + len(expired_ids)


def _is_given_up(session: Session, message: Notification, *, at: datetime) -> bool:
    """End a message. If one of its pages or its incident is locked, writes nothing and returns False."""
    outcome = Outcome(AttemptOutcome.DEAD, error=CUT_OFF)
    try:
        with session.begin_nested():
            event = Event(EventType.CUT_OFF, error=CUT_OFF)
            names = outcome_service.recipients(session, [message])
            entries = outcome_service.end_attempts(session, [Ended(message, event, outcome)], at=at, names=names)
            crud_timeline.insert_all(session, entries.get(message.id, []))
    except OperationalError as error:
        if not is_contended(error):
            raise
        log.info("delivery_end_lock_contended", reason=type(error.orig).__name__, **log_fields(message))
        return False
    log.error("delivery_given_up", **log_fields(message))
    return True
