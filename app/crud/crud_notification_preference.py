"""How people want to be reached."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.models import NotificationPreference


class CRUDPreference(CRUDBase[NotificationPreference]):
    def of_users(self, session: Session, user_ids: Sequence[int]) -> Sequence[NotificationPreference]:
        query = select(NotificationPreference).where(NotificationPreference.user_id.in_(user_ids))
        return session.scalars(query.order_by(NotificationPreference.id)).all()

    def put(self, session: Session, user_id: int, channel: str, *, at: datetime) -> NotificationPreference:
        """The row of a user's channel, made if there is none, locked."""
        new = {"user_id": user_id, "channel": channel, "created_at": at, "updated_at": at}
        session.execute(insert(NotificationPreference).values(**new).on_conflict_do_nothing())
        query = select(NotificationPreference).filter_by(user_id=user_id, channel=channel)
        return session.scalars(query.with_for_update()).one()


crud_preference = CRUDPreference(NotificationPreference)
