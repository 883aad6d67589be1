"""The token buckets of recipients, and the pages that wait for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from app.crud.base import CRUDBase, affected
from app.crud.channels import channels_of
from app.models import Notification, NotificationThrottle


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pages that wait for a recipient's token bucket: how many, since when, and the id of the first."""

    number: int
    oldest_at: datetime
    first_id: int


class CRUDThrottle(CRUDBase[NotificationThrottle]):
    def without_bucket(self, session: Session, channel: str, recipients: Collection[str]) -> list[str]:
        """The recipients without a bucket, in order."""
        mine = NotificationThrottle.channel == channel, NotificationThrottle.recipient.in_(recipients)
        known = session.scalars(select(NotificationThrottle.recipient).where(*mine)).all()
        return sorted(set(recipients).difference(known))

    def add_buckets(
        self, session: Session, channel: str, recipients: Collection[str], *, tokens: float, at: datetime
    ) -> None:
        """Add the missing buckets of recipients. Waits for a transaction that is adding one of them."""
        new = [{"recipient": who, "channel": channel, "tokens": tokens, "refilled_at": at} for who in recipients]
        session.execute(insert(NotificationThrottle).on_conflict_do_nothing(), new)

    def lock_buckets(
        self, session: Session, channel: str, recipients: Collection[str]
    ) -> dict[str, NotificationThrottle]:
        """The buckets of recipients, locked, without those that are locked already."""
        rows = session.scalars(
            select(NotificationThrottle)
            .where(NotificationThrottle.channel == channel, NotificationThrottle.recipient.in_(recipients))
            .order_by(NotificationThrottle.recipient)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        return {row.recipient: row for row in rows}

    def save_buckets(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Write whole rows, which the caller has locked, with one statement."""
        new = insert(NotificationThrottle)
        changed = {name: new.excluded[name] for name in ("tokens", "refilled_at", "last_sent_at")}
        session.execute(new.on_conflict_do_update(index_elements=["recipient", "channel"], set_=changed), rows)

    def recipients_due(self, session: Session, channel: str, *, at: datetime, limit: int) -> Sequence[str]:
        """The recipients whose waiting pages are due for a look."""
        return session.scalars(
            select(Notification.recipient)
            .where(Notification.is_throttled, Notification.channel == channel, Notification.next_attempt_at <= at)
            .group_by(Notification.recipient)
            .limit(limit)
        ).all()

    def waiting_for(self, session: Session, channel: str, recipients: Collection[str]) -> dict[str, Waiting]:
        """The waiting pages of each of these recipients. Only the holder of a bucket's lock changes them."""
        numbers = func.count(), func.min(Notification.created_at), func.min(Notification.id)
        waiting = (
            select(Notification.recipient, *numbers)
            .where(Notification.is_throttled, Notification.channel == channel, Notification.recipient.in_(recipients))
            .group_by(Notification.recipient)
        )
        return {row[0]: Waiting(*row[1:]) for row in session.execute(waiting)}

    def lock_waiting(self, session: Session, channel: str, recipient: str) -> Sequence[Notification]:
        """All pages that wait for a recipient and are not locked, oldest first, locked.

        They come without their own texts.
        """
        return session.scalars(
            select(Notification)
            .options(defer(Notification.body, raiseload=True), defer(Notification.html, raiseload=True))
            .where(Notification.is_throttled, Notification.channel == channel, Notification.recipient == recipient)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        ).all()

    def lock_still_waiting(self, session: Session, ids: Collection[int]) -> set[int]:
        """Which of these pages still wait, locked, without those that are locked already."""
        free = select(Notification.id).where(Notification.id.in_(ids), Notification.is_throttled)
        return set(session.scalars(free.with_for_update(skip_locked=True)))

    def bundle(self, session: Session, ids: Collection[int], *, bundle_id: int) -> None:
        """Put these pages into a bundle."""
        gone = update(Notification).where(Notification.id.in_(ids))
        named = gone.values(is_throttled=False, next_attempt_at=None, bundle_id=bundle_id)
        session.execute(named, execution_options={"synchronize_session": False})

    def release(self, session: Session, ids: Collection[int], *, at: datetime) -> None:
        """Make these pages due."""
        free = update(Notification).where(Notification.id.in_(ids)).values(is_throttled=False, next_attempt_at=at)
        session.execute(free, execution_options={"synchronize_session": False})

    def postpone(self, session: Session, channel: str, recipients: Collection[str], *, until: datetime) -> None:
        """Postpone the waiting pages of these recipients to that time.

        Leaves pages that already wait until then, and locked ones, as they are.
        """
        mine = Notification.is_throttled & (Notification.channel == channel) & Notification.recipient.in_(recipients)
        self._update_free(session, mine & (Notification.next_attempt_at < until), next_attempt_at=until)

    def release_excluding(self, session: Session, channels: Collection[str]) -> None:
        """Release the pages of all channels `excluding` these, but not those that are locked."""
        others = channels_of(session, Notification.is_throttled).difference(channels)
        if others:
            waiting = Notification.is_throttled & Notification.channel.in_(others)
            self._update_free(session, waiting, is_throttled=False)

    def forget_full(self, session: Session, *, before: datetime) -> int:
        """Delete the buckets of recipients who got nothing lately: they are full again."""
        return affected(session.execute(delete(NotificationThrottle).where(NotificationThrottle.refilled_at < before)))

    def _update_free(self, session: Session, which: ColumnElement[bool], **values: Any) -> None:
        """Update the pages that are not locked: waiting for one would delay everybody else's pages."""
        free = select(Notification.id).where(which).with_for_update(skip_locked=True)
        changed = update(Notification).where(Notification.id.in_(free)).values(**values)
        session.execute(changed, execution_options={"synchronize_session": False})


crud_throttle = CRUDThrottle(NotificationThrottle)
