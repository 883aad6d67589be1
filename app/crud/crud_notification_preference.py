"""Channel preferences."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.models import AddressVerification, NotificationPreference


class CRUDPreference(CRUDBase[NotificationPreference]):
    def of_users(self, session: Session, user_ids: Sequence[int]) -> Sequence[NotificationPreference]:
        query = select(NotificationPreference).where(NotificationPreference.user_id.in_(user_ids))
        return session.scalars(query.order_by(NotificationPreference.id)).all()

    def put(self, session: Session, user_id: int, channel: str, *, at: datetime) -> NotificationPreference:
        """The row of a user's channel, created if missing, locked."""
        new = {"user_id": user_id, "channel": channel, "created_at": at, "updated_at": at}
        session.execute(insert(NotificationPreference).values(**new).on_conflict_do_nothing())
        query = select(NotificationPreference).filter_by(user_id=user_id, channel=channel)
        return session.scalars(query.with_for_update()).one()

    def of_channel(self, session: Session, user_id: int, channel: str) -> NotificationPreference | None:
        query = select(NotificationPreference).filter_by(user_id=user_id, channel=channel)
        return session.scalars(query).one_or_none()

    def given_up(self, session: Session, user_id: int, channels: Collection[str]) -> Sequence[NotificationPreference]:
        """Those of these channels that the service has switched off and that have no address of their own, locked."""
        table = NotificationPreference
        mine = select(table).filter_by(user_id=user_id, is_enabled=False, address=None)
        off = mine.where(table.channel.in_(channels), table.disabled_reason.is_not(None))
        query = off.order_by(table.channel).with_for_update()
        return session.scalars(query, execution_options={"populate_existing": True}).all()

    def delete_all_of(self, session: Session, user_id: int) -> None:
        session.execute(delete(NotificationPreference).where(NotificationPreference.user_id == user_id))


class CRUDVerification(CRUDBase[AddressVerification]):
    def delete_all_of(self, session: Session, user_id: int) -> None:
        session.execute(delete(AddressVerification).where(AddressVerification.user_id == user_id))

    def put(self, session: Session, user_id: int, channel: str, *, at: datetime) -> AddressVerification:
        """The row of a user's code, created empty if missing, locked."""
        new = {"user_id": user_id, "channel": channel, "created_at": at, "expires_at": at, "sent": 0}
        new |= {"address": "", "code_hash": ""}
        session.execute(insert(AddressVerification).values(**new).on_conflict_do_nothing())
        return session.scalars(self._locked(user_id, channel)).one()

    def get_for_update(self, session: Session, user_id: int, channel: str) -> AddressVerification | None:
        return session.scalars(self._locked(user_id, channel)).one_or_none()

    def _locked(self, user_id: int, channel: str) -> Select[AddressVerification]:
        query = select(AddressVerification).filter_by(user_id=user_id, channel=channel).with_for_update()
        return query.execution_options(populate_existing=True)


crud_preference = CRUDPreference(NotificationPreference)
crud_verification = CRUDVerification(AddressVerification)
