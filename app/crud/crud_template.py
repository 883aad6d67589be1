"""Administrators' wording of messages."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.vocabulary import MessageKind
from app.crud.base import CRUDBase
from app.models import NotificationTemplate


class CRUDTemplate(CRUDBase[NotificationTemplate]):
    def all(self, session: Session) -> Sequence[NotificationTemplate]:
        return session.scalars(select(NotificationTemplate).order_by(NotificationTemplate.id)).all()

    def of(self, session: Session, channel: str, event: MessageKind) -> NotificationTemplate | None:
        return session.scalar(select(NotificationTemplate).filter_by(channel=channel, event=event))

    def put(
        self, session: Session, channel: str, event: MessageKind, *, default: dict[str, str | None], at: datetime
    ) -> NotificationTemplate:
        """The row of a message, created from the default if missing, locked."""
        new = {"channel": channel, "event": event, **default, "created_at": at, "updated_at": at}
        session.execute(insert(NotificationTemplate).values(**new).on_conflict_do_nothing())
        query = select(NotificationTemplate).filter_by(channel=channel, event=event)
        return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).one()

    def remove(self, session: Session, channel: str, event: MessageKind) -> NotificationTemplate | None:
        """Delete the row of a message. Returns what it was, if there was one."""
        removal = delete(NotificationTemplate).filter_by(channel=channel, event=event).returning(NotificationTemplate)
        return session.scalar(removal)


crud_template = CRUDTemplate(NotificationTemplate)
