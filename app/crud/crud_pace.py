"""The token buckets of the people who are paged."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import NotificationPace


class CRUDPace(CRUDBase[NotificationPace]):
    def lock(
        self, session: Session, channel: str, recipients: Collection[str], *, tokens: float, at: datetime
    ) -> dict[str, NotificationPace]:
        """The paces of recipients, made if there are none, locked in one order."""
        new = [
            {"recipient": recipient, "channel": channel, "tokens": tokens, "refilled_at": at}
            for recipient in sorted(recipients)
        ]
        session.execute(insert(NotificationPace).on_conflict_do_nothing(), new)
        rows = session.scalars(
            select(NotificationPace)
            .where(NotificationPace.channel == channel, NotificationPace.recipient.in_(recipients))
            .order_by(NotificationPace.recipient)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return {row.recipient: row for row in rows}

    def save(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Write whole rows, which the caller has locked, with one statement."""
        new = insert(NotificationPace)
        changed = {name: new.excluded[name] for name in ("tokens", "refilled_at", "last_sent_at")}
        session.execute(new.on_conflict_do_update(index_elements=["recipient", "channel"], set_=changed), rows)

    def forget(self, session: Session, *, before: datetime) -> int:
        """Forget the paces of whom nothing was sent to lately: they are full again."""
        return affected(session.execute(delete(NotificationPace).where(NotificationPace.refilled_at < before)))


crud_pace = CRUDPace(NotificationPace)
