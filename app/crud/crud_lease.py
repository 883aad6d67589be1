"""The lease under which a worker holds a message: renewed, given back, expired, or ended with an outcome."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus, IncidentStatus, NotificationKind
from app.crud.base import NOW_COLUMN, CRUDBase, affected
from app.models import Incident, Notification, User

UNLEASED: dict[str, Any] = {"lease_until": None, "lease_token": None}
SECRETS = [kind for kind in NotificationKind if kind.is_secret]
ERASED: dict[str, Any] = {"subject": "", "body": "", "html": None, "facts": {}}
ARRIVED: dict[str, Any] = {
    "status": DeliveryStatus.DELIVERED,
    "accepted_at": func.coalesce(Notification.accepted_at, Notification.delivered_at),
    "ended_at": Notification.delivered_at,
    "next_attempt_at": None,
    "fallback_at": None,
    **UNLEASED,
}


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """A message's lease, its incident and its recipient at a moment. None: it has no such thing."""

    at: datetime
    lease_token: UUID | None
    lease_until: datetime | None
    status: IncidentStatus | None
    cycle: int | None
    is_recipient_active: bool | None


class CRUDLease(CRUDBase[Notification]):
    def snapshots(self, session: Session, messages: Sequence[Notification]) -> dict[int, DeliverySnapshot]:
        """What became of messages, their incidents and their recipients by this moment, by the message's id."""
        query = (
            select(
                Notification.id,
                NOW_COLUMN,
                Notification.lease_token,
                Notification.lease_until,
                Incident.status,
                Incident.cycle,
                User.is_active & User.deleted_at.is_(None),
            )
            .select_from(Notification)
            .outerjoin(Incident, Incident.id == Notification.incident_id)
            .outerjoin(User, User.id == Notification.user_id)
            .where(Notification.id.in_([message.id for message in messages]))
        )
        return {row[0]: DeliverySnapshot(*row[1:]) for row in session.execute(query)}

    def renew(self, session: Session, id_: int, *, lease_token: UUID, lease_until: datetime) -> bool:
        """Hold a message for longer. False if the lease was lost."""
        mine = (Notification.id == id_) & (Notification.lease_token == lease_token)
        renewed = update(Notification).where(mine).values(lease_until=lease_until)
        return affected(session.execute(renewed, execution_options={"synchronize_session": False})) == 1

    def defer(
        self, session: Session, id_: int, *, lease_token: UUID, until: datetime, first_attempt_at: datetime | None
    ) -> None:
        """Give a message back that was claimed and not tried: as it was, but for when it is due."""
        mine = (Notification.id == id_) & (Notification.lease_token == lease_token)
        never_tried = Notification.attempt <= 1
        given_back = {
            "status": case((never_tried, DeliveryStatus.PENDING), else_=DeliveryStatus.RETRY),
            "attempt": Notification.attempt - 1,
            "next_attempt_at": until,
            "first_attempt_at": first_attempt_at,
        }
        self._update(session, mine, {**given_back, **UNLEASED})

    def record(self, session: Session, id_: int, *, lease_token: UUID, values: dict[str, Any]) -> DeliveryStatus | None:
        """End the lease with the outcome. Returns the status after it; None if the lease was lost: nothing is written.

        What its provider has reported as delivered already is so, whatever became of our call.
        """
        mine = (Notification.id == id_) & (Notification.lease_token == lease_token)
        ended = update(Notification).where(mine).values(**{**values, **UNLEASED}).returning(Notification.delivered_at)
        row = session.execute(ended, execution_options={"synchronize_session": False}).first()
        if row is None:
            return None
        if row.delivered_at is None:
            status: DeliveryStatus = values["status"]
            return status
        self._end_arrived(session, Notification.id == id_)
        return DeliveryStatus.DELIVERED

    def lock_cut_off(self, session: Session, *, at: datetime, give_up_after: timedelta) -> Sequence[Notification]:
        """What a worker did not finish within its lease, the last time after its time was up. Locked."""
        return session.scalars(
            select(Notification)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .where(Notification.lease_until >= Notification.first_attempt_at + give_up_after)
            .where(Notification.delivered_at.is_(None))
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        ).all()

    def expire_leases(self, session: Session, *, at: datetime, excluding: Collection[int] = ()) -> Sequence[int]:
        """Give back what a worker took and did not finish within its lease, `excluding` these. It may have been sent.

        What its provider reported as delivered meanwhile has come to its end.
        """
        expired = (
            select(Notification.id)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .where(Notification.id.not_in(excluding))
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        )
        if not (ids := session.scalars(expired).all()):
            return []
        has_arrived = Notification.delivered_at.is_not(None)
        self._end_arrived(session, Notification.id.in_(ids) & has_arrived)
        began_at = func.coalesce(Notification.first_attempt_at, at)
        again = {"status": DeliveryStatus.RETRY, "next_attempt_at": at, "first_attempt_at": began_at, **UNLEASED}
        self._update(session, Notification.id.in_(ids) & ~has_arrived, again)
        return ids

    def _end_arrived(self, session: Session, which: ColumnElement[bool]) -> None:
        self._update(session, which, ARRIVED)
        self._update(session, which & Notification.kind.in_(SECRETS), ERASED)

    def _update(self, session: Session, which: ColumnElement[bool], values: dict[str, Any]) -> None:
        session.execute(
            update(Notification).where(which).values(**values), execution_options={"synchronize_session": False}
        )


crud_lease = CRUDLease(Notification)
