"""The token buckets of the people who are paged, and the pages that wait for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, defer

from app.crud.base import CRUDBase, affected
from app.models import Notification, NotificationPace


@dataclass(frozen=True, slots=True)
class Held:
    """The pages that wait for a recipient's pace: how many, since when, and the id of the first."""

    number: int
    oldest_at: datetime
    first_id: int


class CRUDPace(CRUDBase[NotificationPace]):
    def lock(
        self, session: Session, channel: str, recipients: Collection[str], *, tokens: float, at: datetime
    ) -> dict[str, NotificationPace]:
        """The paces of recipients, made if there are none, locked. Without those that another transaction holds."""
        mine = NotificationPace.channel == channel, NotificationPace.recipient.in_(recipients)
        known = set(session.scalars(select(NotificationPace.recipient).where(*mine)))
        new = [
            {"recipient": recipient, "channel": channel, "tokens": tokens, "refilled_at": at}
            for recipient in sorted(recipients)
            if recipient not in known
        ]
        if new:
            session.execute(insert(NotificationPace).on_conflict_do_nothing(), new)
        rows = session.scalars(
            select(NotificationPace)
            .where(*mine)
            .order_by(NotificationPace.recipient)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        return {row.recipient: row for row in rows}

    def save(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Write whole rows, which the caller has locked, with one statement."""
        new = insert(NotificationPace)
        changed = {name: new.excluded[name] for name in ("tokens", "refilled_at", "last_sent_at")}
        session.execute(new.on_conflict_do_update(index_elements=["recipient", "channel"], set_=changed), rows)

    def held_due(self, session: Session, channel: str, *, at: datetime, limit: int) -> Sequence[str]:
        """The recipients whose pages wait to be let go by now."""
        return session.scalars(
            select(Notification.recipient)
            .where(Notification.is_held, Notification.channel == channel, Notification.next_attempt_at <= at)
            .group_by(Notification.recipient)
            .limit(limit)
        ).all()

    def held_of(self, session: Session, channel: str, recipients: Collection[str]) -> dict[str, Held]:
        """What waits for each of these recipients. Whoever has locked their pace has them alone."""
        numbers = func.count(), func.min(Notification.created_at), func.min(Notification.id)
        waiting = (
            select(Notification.recipient, *numbers)
            .where(Notification.is_held, Notification.channel == channel, Notification.recipient.in_(recipients))
            .group_by(Notification.recipient)
        )
        return {row[0]: Held(*row[1:]) for row in session.execute(waiting)}

    def lock_held(self, session: Session, channel: str, recipient: str) -> Sequence[Notification]:
        """All pages that wait for a recipient, oldest first, without what each of them would say by itself."""
        return session.scalars(
            select(Notification)
            .options(defer(Notification.body, raiseload=True), defer(Notification.html, raiseload=True))
            .where(Notification.is_held, Notification.channel == channel, Notification.recipient == recipient)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        ).all()

    def bundle(self, session: Session, ids: Collection[int], *, bundle_id: int) -> None:
        """Hold these pages no longer: they go with a bundle."""
        gone = update(Notification).where(Notification.id.in_(ids))
        named = gone.values(is_held=False, next_attempt_at=None, bundle_id=bundle_id)
        session.execute(named, execution_options={"synchronize_session": False})

    def let_go(self, session: Session, ids: Collection[int], *, at: datetime) -> None:
        """Hold these pages no longer."""
        free = update(Notification).where(Notification.id.in_(ids)).values(is_held=False, next_attempt_at=at)
        session.execute(free, execution_options={"synchronize_session": False})

    def hold(self, session: Session, channel: str, recipients: Collection[str], *, until: datetime) -> None:
        """Look at what waits for these recipients again at that time. What waits until then already stays as it is."""
        mine = Notification.is_held & (Notification.channel == channel) & Notification.recipient.in_(recipients)
        held = update(Notification).where(mine, Notification.next_attempt_at < until).values(next_attempt_at=until)
        session.execute(held, execution_options={"synchronize_session": False})

    def unhold_beside(self, session: Session, channels: Collection[str]) -> None:
        """Hold no page any more that goes by another channel than these."""
        is_beside = Notification.is_held & Notification.channel.not_in(channels)
        session.execute(update(Notification).where(is_beside).values(is_held=False))

    def forget(self, session: Session, *, before: datetime) -> int:
        """Forget the paces of whom nothing was sent to lately: they are full again."""
        return affected(session.execute(delete(NotificationPace).where(NotificationPace.refilled_at < before)))


crud_pace = CRUDPace(NotificationPace)
