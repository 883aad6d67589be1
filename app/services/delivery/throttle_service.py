"""Releases pages at a pace a person can follow: alone, or several in one message. Drops none."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.crud import crud_heartbeat, crud_throttle
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.db.session import is_contended
from app.services.delivery import bundle_service, throttle
from app.services.delivery.throttle import CAPACITY, Bucket, Recipient, ReleasePlan

log = structlog.get_logger()

FULL_AFTER = timedelta(hours=1)
ONE_BY_ONE_SECONDS = 0.02


def due(session: Session, channel: str, *, limit: int) -> Sequence[str]:
    """A batch of recipients with waiting pages. Creates missing token buckets.

    Commit it before `release`, so that no other worker has to wait for a new bucket until `release` ends.
    """
    at = now(session)
    recipients = crud_throttle.recipients_due(session, channel, at=at, limit=limit)
    new = crud_throttle.without_bucket(session, channel, recipients) if recipients else []
    if new:
        _add_buckets(session, channel, new, at=at)
    return recipients


def release(session: Session, channel: str, recipients: Collection[str]) -> None:
    """Release the due pages of these recipients.

    Skips recipients without a bucket, and those whose bucket or pages are locked: they are due again next time, with
    all their tokens.
    """
    at = now(session)
    wait_briefly(session)
    plan = throttle.plan(_waiting(session, channel, recipients), at=at)
    looked_after = _carry_out(session, channel, plan, at=at)
    if looked_after:
        rows = [_row(recipient, channel, plan.buckets[recipient]) for recipient in looked_after]
        crud_throttle.save_buckets(session, rows)


def release_excluding(session: Session, channels: Collection[str]) -> None:
    """Release all pages that no live worker can send, `excluding` these channels: throttling them is pointless."""
    crud_throttle.release_excluding(session, crud_heartbeat.served(session, channels, at=now(session)))


def forget_old(session: Session) -> int:
    """Delete the buckets that are full again. Returns how many."""
    return crud_throttle.forget_full(session, before=now(session) - FULL_AFTER)


def _add_buckets(session: Session, channel: str, recipients: Sequence[str], *, at: datetime) -> None:
    """Add buckets together, or one by one if another transaction is adding some of them."""
    wait_briefly(session)
    if _are_added(session, channel, recipients, at=at):
        return
    wait_briefly(session, seconds=ONE_BY_ONE_SECONDS)
    locked = [who for who in recipients if not _are_added(session, channel, [who], at=at)]
    if locked:
        log.info("throttle_lock_contended", channel=channel, recipients=len(locked))


def _are_added(session: Session, channel: str, recipients: Collection[str], *, at: datetime) -> bool:
    try:
        with session.begin_nested():
            crud_throttle.add_buckets(session, channel, recipients, tokens=CAPACITY, at=at)
    except OperationalError as error:
        if not is_contended(error):
            raise
        return False
    return True


def _waiting(session: Session, channel: str, recipients: Collection[str]) -> Iterator[Recipient]:
    """The recipients whose bucket this transaction could lock: only it handles their pages."""
    rows = crud_throttle.lock_buckets(session, channel, recipients)
    for name, waiting in crud_throttle.waiting_for(session, channel, rows).items():
        bucket = Bucket(rows[name].tokens, rows[name].refilled_at, rows[name].last_sent_at)
        yield Recipient(name, bucket, waiting.number, waiting.oldest_at, waiting.first_id)


def _carry_out(session: Session, channel: str, plan: ReleasePlan, *, at: datetime) -> Sequence[str]:
    """Write the decisions. Returns the recipients, except those all of whose pages are locked."""
    unlocked = crud_throttle.lock_still_waiting(session, plan.alone.values())
    released: dict[str, Collection[int]] = {who: [id_] for who, id_ in plan.alone.items() if id_ in unlocked}
    for recipient in plan.bundled:
        pages = crud_throttle.lock_waiting(session, channel, recipient)
        alone = bundle_service.bundle(session, pages, at=at)
        if alone is not None:
            released[recipient] = alone
    crud_throttle.release(session, [id_ for ids in released.values() for id_ in ids], at=at)
    for until, recipients in plan.postponed.items():
        crud_throttle.postpone(session, channel, recipients, until=until)
    return [*released, *(recipient for recipients in plan.postponed.values() for recipient in recipients)]


def _row(recipient: str, channel: str, bucket: Bucket) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "channel": channel,
        "tokens": bucket.tokens,
        "refilled_at": bucket.refilled_at,
        "last_sent_at": bucket.last_sent_at,
    }
