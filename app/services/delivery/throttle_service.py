"""Lets pages go at a pace that a person can follow: alone, or several in one message. Nothing is dropped."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.vocabulary import MessageKind, NotificationKind
from app.crud import crud_heartbeat, crud_outbox, crud_throttle
from app.crud.base import now, wait_briefly
from app.crud.crud_throttle import Waiting
from app.db.session import is_contended
from app.models import Notification, NotificationThrottle
from app.services.delivery.throttle import CAPACITY, Bucket, Decision, Release, decide
from app.services.messages import message_service

log = structlog.get_logger()

FULL_AFTER = timedelta(hours=1)
ONE_BY_ONE_SECONDS = 0.02


def due(session: Session, channel: str, *, limit: int) -> Sequence[str]:
    """A batch of recipients whose pages' time has come. Whoever has no pace yet is given one.

    To be committed before `release`, so that no other worker waits for a new pace for as long as that takes.
    """
    at = now(session)
    recipients = crud_throttle.recipients_due(session, channel, at=at, limit=limit)
    new = crud_throttle.without_bucket(session, channel, recipients) if recipients else []
    if new:
        _make_paces(session, channel, new, at=at)
    return recipients


def release(session: Session, channel: str, recipients: Collection[str]) -> None:
    """Let the pages of these recipients go whose time has come.

    Passes over those without a pace, and those whose pace or pages another transaction holds: they are due again with
    the next look, with all their tokens.
    """
    at = now(session)
    wait_briefly(session)
    paces = crud_throttle.lock_buckets(session, channel, recipients)
    waiting = crud_throttle.waiting_for(session, channel, paces)
    decisions = {who: _decision(paces[who], held, at=at) for who, held in waiting.items()}
    done = _carry_out(session, channel, waiting, decisions, at=at)
    if done:
        crud_throttle.save_buckets(
            session, [_row(recipient, channel, decisions[recipient].bucket) for recipient in done]
        )


def release_excluding(session: Session, channels: Collection[str]) -> None:
    """Let all pages go that no live worker can send: what becomes of them is not a matter of pace."""
    crud_throttle.release_excluding(session, crud_heartbeat.served(session, channels, at=now(session)))


def forget_old(session: Session) -> int:
    """Forget the buckets that are full again. Returns how many."""
    return crud_throttle.forget_full(session, before=now(session) - FULL_AFTER)


def _make_paces(session: Session, channel: str, recipients: Sequence[str], *, at: datetime) -> None:
    """Give recipients a pace: all together, or one by one if another transaction is giving one to some of them."""
    wait_briefly(session)
    if _are_made(session, channel, recipients, at=at):
        return
    wait_briefly(session, seconds=ONE_BY_ONE_SECONDS)
    held = [who for who in recipients if not _are_made(session, channel, [who], at=at)]
    if held:
        log.info("paces_wait", channel=channel, recipients=len(held))


def _are_made(session: Session, channel: str, recipients: Collection[str], *, at: datetime) -> bool:
    try:
        with session.begin_nested():
            crud_throttle.add_buckets(session, channel, recipients, tokens=CAPACITY, at=at)
    except OperationalError as error:
        if not is_contended(error):
            raise
        return False
    return True


def _decision(pace: NotificationThrottle, held: Waiting, *, at: datetime) -> Decision:
    bucket = Bucket(pace.tokens, pace.refilled_at, pace.last_sent_at)
    return decide(bucket, waiting=held.number, oldest_at=held.oldest_at, at=at)


def _carry_out(
    session: Session, channel: str, waiting: Mapping[str, Waiting], decisions: Mapping[str, Decision], *, at: datetime
) -> Sequence[str]:
    """Write what becomes of the pages: of those that go or wait alike with one statement.

    Returns whose pages they were, without the recipients all of whose pages somebody holds.
    """
    singles = [waiting[who].first_id for who, found in decisions.items() if found.release is Release.ALONE]
    free = crud_throttle.lock_still_waiting(session, singles)
    gone: dict[str, Collection[int]] = {}  # the pages that go alone
    held: dict[datetime, list[str]] = defaultdict(list)
    for recipient, decision in decisions.items():
        if decision.release is Release.WAIT:
            held[decision.until].append(recipient)
        elif decision.release is Release.BUNDLE:
            gone |= _bundle_safely(session, channel, recipient, at=at)
        elif waiting[recipient].first_id in free:
            gone[recipient] = [waiting[recipient].first_id]
    crud_throttle.release(session, [id_ for ids in gone.values() for id_ in ids], at=at)
    for until, recipients in held.items():
        crud_throttle.postpone(session, channel, recipients, until=until)
    return [*gone, *(recipient for recipients in held.values() for recipient in recipients)]


def _row(recipient: str, channel: str, bucket: Bucket) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "channel": channel,
        "tokens": bucket.tokens,
        "refilled_at": bucket.refilled_at,
        "last_sent_at": bucket.last_sent_at,
    }


def _bundle_safely(session: Session, channel: str, recipient: str, *, at: datetime) -> dict[str, Collection[int]]:
    """Bundle what waits for a recipient and nobody holds.

    Returns the recipient with the ids of the pages that go alone: a single one, or all if they could not be bundled.
    Empty if nothing could be done for what others hold.
    """
    pages = crud_throttle.lock_waiting(session, channel, recipient)
    ids = [page.id for page in pages]
    if len(ids) < 2:
        return {recipient: ids} if ids else {}
    try:
        with session.begin_nested():
            _bundle(session, pages, at=at)
    except Exception as error:
        if is_contended(error):
            log.info("bundle_waits", notification_ids=ids)
            return {}
        log.exception("bundle_failed", notification_ids=ids)
        return {recipient: ids}
    return {recipient: []}


def _bundle(session: Session, pages: Sequence[Notification], *, at: datetime) -> None:
    """One message that names all the pages; each of them goes with it."""
    newest = pages[-1]  # the address may have been changed since the first
    bundle = Notification(
        user_id=newest.user_id,
        recipient=newest.recipient,
        channel=newest.channel,
        address=newest.address,
        kind=NotificationKind.BUNDLE,
        is_exempt=True,
        next_attempt_at=at,
        created_at=at,
        subject="",
        body="",
    )
    write(session, bundle, pages)
    crud_outbox.add(session, bundle)
    crud_throttle.bundle(session, [page.id for page in pages], bundle_id=bundle.id)
    log.info("pages_bundled", notification_id=bundle.id, channel=bundle.channel, pages=len(pages))


def write(session: Session, bundle: Notification, pages: Sequence[Notification]) -> None:
    """Write a bundle's message about these pages."""
    facts = {"count": len(pages), "incidents": [page.facts for page in pages]}
    message = message_service.composer(session).compose(bundle.channel, MessageKind.BUNDLE, facts)
    bundle.subject, bundle.body, bundle.html, bundle.facts = message.subject, message.body, message.html, facts
