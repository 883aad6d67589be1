"""The lease under which a worker holds a message: renewed, released, expired, or ended with an outcome."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session, defer

from app.core.vocabulary import DeliveryStatus, IncidentStatus
from app.crud.base import CRUDBase
from app.crud.clock import NOW_COLUMN
from app.models import Incident, Notification, User


@dataclass(frozen=True, slots=True)
class Fenced:
    """What was found in a row that a worker wrote under its lease."""

    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """A message's lease, its incident and its recipient at a moment. None: it has no such thing."""

    at: datetime
    lease_token: UUID | None
    lease_until: datetime | None
    status: IncidentStatus | None
    cycle: int | None
    is_recipient_active: bool | None
    is_exempt: bool


class CRUDLease(CRUDBase[Notification]):
    def snapshots(self, session: Session, messages: Sequence[Notification]) -> dict[int, DeliverySnapshot]:
        """The current state of messages, their incidents and recipients, by message id."""
        query = (
            select(
                Notification.id,
                NOW_COLUMN,
                Notification.lease_token,
                Notification.lease_until,
                Incident.status,
                Incident.cycle,
                User.is_active & User.deleted_at.is_(None),
                Notification.is_exempt,
            )
            .select_from(Notification)
            .outerjoin(Incident, Incident.id == Notification.incident_id)
            .outerjoin(User, User.id == Notification.user_id)
            .where(Notification.id.in_([message.id for message in messages]))
        )
        return {row[0]: DeliverySnapshot(*row[1:]) for row in session.execute(query)}

    def write(self, session: Session, id_: int, *, lease_token: UUID, values: dict[str, Any]) -> Fenced | None:
        """Set columns of a message. If this worker no longer holds its lease, writes nothing and returns None."""
        mine = (Notification.id == id_) & (Notification.lease_token == lease_token)
        changed = update(Notification).where(mine).values(**values).returning(Notification.delivered_at)
        row = session.execute(changed, execution_options={"synchronize_session": False}).first()
        return None if row is None else Fenced(row.delivered_at)

    def lock_cut_off(self, session: Session, *, at: datetime, give_up_after: timedelta) -> Sequence[Notification]:
        """The messages whose lease expired after their time was up. Locked."""
        return session.scalars(
            self._expired(at)
            .where(Notification.lease_until >= Notification.first_attempt_at + give_up_after)
            .where(Notification.delivered_at.is_(None))
        ).all()

    def lock_expired(
        self, session: Session, *, at: datetime, excluding: Collection[int] = ()
    ) -> Sequence[Notification]:
        """The messages whose lease expired, `excluding` these. Locked, without their texts."""
        texts = [defer(column, raiseload=True) for column in (Notification.body, Notification.html)]
        return session.scalars(self._expired(at).where(Notification.id.not_in(excluding)).options(*texts)).all()

    def _expired(self, at: datetime) -> Select[Notification]:
        return (
            select(Notification)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )


crud_lease = CRUDLease(Notification)
