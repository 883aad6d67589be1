"""Bundles several pages of one person into one message."""

from collections.abc import Collection, Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.facts import BundleFacts, PageFacts, read, stored
from app.core.vocabulary import NotificationKind
from app.crud import crud_outbox, crud_throttle
from app.db.session import is_contended
from app.models import Notification
from app.services.messages import message_service

log = structlog.get_logger()


def bundle(session: Session, pages: Sequence[Notification], *, at: datetime) -> Collection[int] | None:
    """Bundle the locked pages of a recipient, oldest first.

    Returns the ids of those to send alone instead: a single page, or all if no bundle could be written. None if locks
    prevent it for now.
    """
    ids = [page.id for page in pages]
    if len(ids) < 2:
        return ids or None
    try:
        with session.begin_nested():
            _bundle(session, pages, at=at)
    except Exception as error:
        if is_contended(error):
            log.info("bundle_lock_contended", notification_ids=ids)
            return None
        log.exception("bundle_failed", notification_ids=ids)
        return ids
    return []


def write(session: Session, message: Notification, pages: Sequence[Notification]) -> None:
    """Write the facts of a bundle of these pages."""
    facts = BundleFacts(tuple(map(_facts_of, pages)))
    composed = message_service.composer(session).compose(message.channel, facts)
    message.subject, message.body, message.html = composed.subject, composed.body, composed.html
    message.facts = stored(facts)


def count_named(bundle: Notification) -> int:
    """The number of incidents in a bundle."""
    facts = read(bundle.kind, bundle.facts)
    return facts.count if isinstance(facts, BundleFacts) else 0


def _facts_of(page: Notification) -> PageFacts:
    """The facts of a page. Raises TypeError for a page that cannot be bundled."""
    facts = read(page.kind, page.facts)
    if not isinstance(facts, PageFacts):
        raise TypeError(f"notification {page.id} does not hold the facts of a page")
    return facts


def _bundle(session: Session, pages: Sequence[Notification], *, at: datetime) -> None:
    """Add one message that names all the pages. Each of them is sent with it."""
    newest = pages[-1]  # the address may have changed since the first page
    message = Notification(
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
        traceparent=newest.traceparent,
    )
    write(session, message, pages)
    crud_outbox.add(session, message)
    crud_throttle.bundle(session, [page.id for page in pages], bundle_id=message.id)
    log.info("pages_bundled", notification_id=message.id, channel=message.channel, pages=len(pages))
