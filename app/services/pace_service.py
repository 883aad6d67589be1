"""Lets pages go at a pace that a person can follow: alone, or several in one message. Nothing is dropped."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import MessageEvent, NotificationKind
from app.crud import crud_notification, crud_pace
from app.crud.base import now, wait_briefly
from app.crud.crud_pace import Held
from app.models import Notification, NotificationPace
from app.services import message_service
from app.services.pace import CAPACITY, Bucket, Decision, Release, decide

log = structlog.get_logger()

FULL_AFTER = timedelta(hours=1)


def let_go(session: Session, channel: str, *, limit: int) -> int:
    """Let the pages of a batch of recipients go whose time has come. Returns how many recipients there were."""
    at = now(session)
    recipients = crud_pace.held_due(session, channel, at=at, limit=limit)
    if not recipients:
        return 0
    wait_briefly(session)
    paces = crud_pace.lock(session, channel, recipients, tokens=CAPACITY, at=at)
    waiting = crud_pace.held_of(session, channel, recipients)
    decisions = {who: _decision(paces[who], held, at=at) for who, held in waiting.items() if who in paces}
    if decisions:
        _carry_out(session, channel, waiting, decisions, at=at)
        crud_pace.save(session, [_row(recipient, channel, found.bucket) for recipient, found in decisions.items()])
    return len(recipients)


def let_go_beside(session: Session, channels: Collection[str]) -> None:
    """Let all pages go that no channel here could send: what becomes of them is not a matter of pace."""
    crud_pace.unhold_beside(session, channels)


def forget_old(session: Session) -> int:
    """Forget the buckets that are full again. Returns how many."""
    return crud_pace.forget(session, before=now(session) - FULL_AFTER)


def _decision(pace: NotificationPace, held: Held, *, at: datetime) -> Decision:
    bucket = Bucket(pace.tokens, pace.refilled_at, pace.last_sent_at)
    return decide(bucket, waiting=held.number, oldest_at=held.oldest_at, now=at)


def _carry_out(
    session: Session, channel: str, waiting: Mapping[str, Held], decisions: Mapping[str, Decision], *, at: datetime
) -> None:
    """Write what becomes of the pages: of those that go or wait alike with one statement."""
    alone: list[int] = []
    held: dict[datetime, list[str]] = defaultdict(list)
    for recipient, decision in decisions.items():
        if decision.release is Release.BUNDLE:
            alone += _bundle_safely(session, channel, recipient, at=at)
        elif decision.release is Release.ALONE:
            alone.append(waiting[recipient].first_id)
        else:
            held[decision.until].append(recipient)
    session.flush()
    crud_pace.let_go(session, alone, at=at)
    for until, recipients in held.items():
        crud_pace.hold(session, channel, recipients, until=until)


def _row(recipient: str, channel: str, bucket: Bucket) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "channel": channel,
        "tokens": bucket.tokens,
        "refilled_at": bucket.refilled_at,
        "last_sent_at": bucket.last_sent_at,
    }


def _bundle_safely(session: Session, channel: str, recipient: str, *, at: datetime) -> Sequence[int]:
    """Bundle what waits for a recipient. If that fails: the ids of the pages, which then go one by one."""
    pages = crud_pace.lock_held(session, channel, recipient)
    ids = [page.id for page in pages]
    try:
        with session.begin_nested():
            _bundle(session, pages, at=at)
    except Exception:
        log.exception("bundle_failed", notification_ids=ids)
        return ids
    return []


def _bundle(session: Session, pages: Sequence[Notification], *, at: datetime) -> None:
    """One message that names all the pages; each of them goes with it."""
    if not pages:
        return
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
    crud_notification.add(session, bundle)
    crud_pace.bundle(session, [page.id for page in pages], bundle_id=bundle.id)
    log.info("pages_bundled", notification_id=bundle.id, channel=bundle.channel, pages=len(pages))


def write(session: Session, bundle: Notification, pages: Sequence[Notification]) -> None:
    """Write a bundle's message about these pages."""
    facts = {"count": len(pages), "incidents": [page.facts for page in pages]}
    message = message_service.composer(session).compose(bundle.channel, MessageEvent.BUNDLE, facts)
    bundle.subject, bundle.body, bundle.html, bundle.facts = message.subject, message.body, message.html, facts
