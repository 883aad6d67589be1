"""Lets pages go at a pace that a person can follow: alone, or several in one message. Nothing is dropped."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.vocabulary import MessageEvent, NotificationKind
from app.crud import crud_notification, crud_pace
from app.crud.base import now
from app.models import Notification, NotificationPace
from app.services import message_service
from app.services.pace import CAPACITY, Bucket, Release, decide

log = structlog.get_logger()

FULL_AFTER = timedelta(hours=1)


def let_go(session: Session, channel: str, *, limit: int) -> int:
    """Let the pages of a batch of recipients go whose time has come. Returns how many recipients there were."""
    at = now(session)
    recipients = crud_notification.held_due(session, channel, at=at, limit=limit)
    if not recipients:
        return 0
    paces = crud_pace.lock(session, channel, recipients, tokens=CAPACITY, at=at)
    waiting: dict[str, list[Notification]] = defaultdict(list)
    for page in crud_notification.lock_held(session, channel, recipients):
        waiting[page.recipient].append(page)
    for recipient, pages in waiting.items():
        _decide(session, paces[recipient], pages, at=at)
    session.flush()
    return len(recipients)


def let_go_beside(session: Session, channels: Collection[str]) -> None:
    """Let all pages go that no channel here could send: what becomes of them is not a matter of pace."""
    crud_notification.unhold_beside(session, channels)


def forget_old(session: Session) -> int:
    """Forget the buckets that are full again. Returns how many."""
    return crud_pace.forget(session, before=now(session) - FULL_AFTER)


def _decide(session: Session, pace: NotificationPace, pages: Sequence[Notification], *, at: datetime) -> None:
    bucket = Bucket(pace.tokens, pace.refilled_at, pace.last_sent_at)
    decision = decide(bucket, waiting=len(pages), oldest_at=min(page.created_at for page in pages), now=at)
    after = decision.bucket
    pace.tokens, pace.refilled_at, pace.last_sent_at = after.tokens, after.refilled_at, after.last_sent_at
    if decision.release is Release.BUNDLE:
        _bundle(session, pages, at=at)
        return
    for page in pages:
        page.is_held = decision.release is Release.HOLD
        page.next_attempt_at = decision.until


def _bundle(session: Session, pages: Sequence[Notification], *, at: datetime) -> None:
    """One message that names all the pages; each of them goes with it."""
    first = pages[0]
    bundle = Notification(
        user_id=first.user_id,
        recipient=first.recipient,
        channel=first.channel,
        address=first.address,
        kind=NotificationKind.BUNDLE,
        is_exempt=True,
        next_attempt_at=at,
        created_at=at,
        subject="",
        body="",
    )
    write(session, bundle, pages)
    crud_notification.add(session, bundle)
    for page in pages:
        page.is_held, page.next_attempt_at, page.bundle_id = False, None, bundle.id
    log.info("pages_bundled", notification_id=bundle.id, channel=bundle.channel, pages=len(pages))


def write(session: Session, bundle: Notification, pages: Sequence[Notification]) -> None:
    """Write a bundle's message about these pages."""
    facts = {"count": len(pages), "incidents": [page.facts for page in pages]}
    message = message_service.composer(session).compose(bundle.channel, MessageEvent.BUNDLE, facts)
    bundle.subject, bundle.body, bundle.html, bundle.facts = message.subject, message.body, message.html, facts
