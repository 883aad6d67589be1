"""The outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from app.core.vocabulary import DeliveryStatus, IncidentStatus
from app.crud.base import CRUDBase, Page, affected
from app.models import Incident, Notification, NotificationAttempt

WAITING = Notification.status.in_([DeliveryStatus.PENDING, DeliveryStatus.RETRY])


@dataclass(frozen=True, slots=True)
class Standing:
    """What a notification's incident is like at this moment."""

    status: IncidentStatus
    cycle: int


class CRUDNotification(CRUDBase[Notification]):
    def page(self, session: Session, page: Page, *, visible_to: int | None) -> Sequence[Notification]:
        """Deliveries, newest first; of everybody if `visible_to` is None."""
        query = select(Notification).options(selectinload(Notification.attempts))
        if visible_to is not None:
            query = query.where(Notification.user_id == visible_to)
        return session.scalars(page.of(query, Notification.id, newest_first=True)).all()

    def unsent_of(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Pages of an incident's cycle that nobody has begun to send."""
        return session.scalars(
            select(Notification).where(
                Notification.incident_id == incident_id,
                Notification.cycle == cycle,
                Notification.status == DeliveryStatus.PENDING,
            )
        ).all()

    def claim_due(
        self, session: Session, *, at: datetime, lease_until: datetime, lease_token: UUID, limit: int
    ) -> Sequence[Notification]:
        """Take due messages, oldest first, under a lease. Those that another worker holds are left to it."""
        due = (
            select(Notification.id)
            .where(WAITING, Notification.next_attempt_at <= at)
            .order_by(Notification.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = (
            update(Notification)
            .where(Notification.id.in_(due.scalar_subquery()))
            .values(
                status=DeliveryStatus.SENDING,
                lease_until=lease_until,
                lease_token=lease_token,
                attempt=Notification.attempt + 1,
            )
            .returning(Notification)
        )
        return session.scalars(claimed, execution_options={"synchronize_session": False}).all()

    def release_expired(self, session: Session, *, at: datetime) -> Sequence[int]:
        """Give back what a worker took and did not finish within its lease. It may have been sent."""
        return session.scalars(
            update(Notification)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .values(status=DeliveryStatus.RETRY, next_attempt_at=at, lease_until=None, lease_token=None)
            .returning(Notification.id)
        ).all()

    def standing(self, session: Session, incident_id: int) -> Standing | None:
        row = session.execute(select(Incident.status, Incident.cycle).where(Incident.id == incident_id)).first()
        return Standing(row.status, row.cycle) if row else None

    def record(self, session: Session, id_: int, *, lease_token: UUID, values: dict[str, Any]) -> bool:
        """End the lease with the outcome. False if the lease was lost: then nothing is written."""
        result = session.execute(
            update(Notification)
            .where(Notification.id == id_, Notification.lease_token == lease_token)
            .values(lease_until=None, lease_token=None, **values)
        )
        return affected(result) == 1


crud_notification = CRUDNotification(Notification)
crud_attempt = CRUDBase(NotificationAttempt)
