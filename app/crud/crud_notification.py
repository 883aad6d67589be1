"""The outbox."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session, selectinload

from app.core.vocabulary import DeliveryStatus, IncidentStatus
from app.crud.base import NOW_COLUMN, CRUDBase, Page, affected, wake
from app.crud.crud_incident import crud_incident
from app.models import Incident, Notification, NotificationAttempt, User

WITH_ATTEMPTS = (
    selectinload(Notification.attempts),
    selectinload(Notification.bundle).selectinload(Notification.attempts),
)
WAITING = Notification.status.in_([DeliveryStatus.PENDING, DeliveryStatus.RETRY])


@dataclass(frozen=True, slots=True)
class Standing:
    """A message's lease, its incident and its recipient at a moment. None: it has no such thing."""

    at: datetime
    lease_token: UUID | None
    lease_until: datetime | None
    status: IncidentStatus | None
    cycle: int | None
    is_recipient_active: bool | None


@dataclass(frozen=True, slots=True)
class Held:
    """The pages that wait for a recipient's pace: how many, since when, and the id of the first."""

    number: int
    oldest_at: datetime
    first_id: int


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """What to list. Values of one field are alternatives, fields must all hold."""

    incident_id: Sequence[int] = ()
    channel: Sequence[str] = ()
    status: Sequence[DeliveryStatus] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        columns: dict[Any, Sequence[Any]] = {
            Notification.incident_id: self.incident_id,
            Notification.channel: self.channel,
            Notification.status: self.status,
        }
        return [column.in_(values) for column, values in columns.items() if values]


class CRUDNotification(CRUDBase[Notification]):
    def page(
        self, session: Session, wanted: NotificationFilter, page: Page, *, visible_to: int | None
    ) -> Sequence[Notification]:
        """Deliveries, newest first; of everybody if `visible_to` is None."""
        query = select(Notification).where(*wanted.conditions()).options(*WITH_ATTEMPTS)
        if visible_to is not None:
            query = query.where(Notification.user_id == visible_to)
        return session.scalars(page.of(query, Notification.id, newest_first=True)).all()

    def with_attempts(self, session: Session, id_: int) -> Notification:
        query = select(Notification).where(Notification.id == id_).options(*WITH_ATTEMPTS)
        return session.scalars(query).one()

    def add_all(self, session: Session, objs: Sequence[Notification]) -> None:
        """Insert messages, and wake the workers when the transaction is committed."""
        super().add_all(session, objs)
        if objs:
            wake(session, "send")

    def unsent_of(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Pages of an incident's cycle that nobody has begun to send."""
        return session.scalars(
            select(Notification).where(
                Notification.incident_id == incident_id,
                Notification.cycle == cycle,
                Notification.status == DeliveryStatus.PENDING,
                Notification.bundle_id.is_(None),
            )
        ).all()

    def of_incident_cycle(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Every page of an incident's cycle."""
        return session.scalars(
            select(Notification).where(Notification.incident_id == incident_id, Notification.cycle == cycle)
        ).all()

    def claim_due(
        self,
        session: Session,
        channel: str | None,
        *,
        beside: Collection[str] = (),
        at: datetime,
        lease_until: datetime,
        lease_token: UUID,
        limit: int,
    ) -> Sequence[Notification]:
        """Take due messages of a channel, oldest first, under a lease. Those that another worker holds are left to it.

        Without a channel: those of all channels `beside` the given ones.
        """
        by = Notification.channel == channel if channel else Notification.channel.not_in(beside)
        due = (
            select(Notification.id)
            .where(WAITING, ~Notification.is_held, by, Notification.next_attempt_at <= at)
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

    def claim_fallbacks(self, session: Session, *, at: datetime, limit: int) -> list[tuple[Notification, Incident]]:
        """Lock pages that were not accepted in time or are dead: their incidents first, in order of ids."""
        due = Notification.fallback_at <= at
        candidates = session.execute(
            select(Notification.id, Notification.incident_id)
            .where(due, Notification.incident_id.is_not(None))
            .order_by(Notification.fallback_at)
            .limit(limit)
        ).all()
        incidents = crud_incident.lock_free(session, {row.incident_id for row in candidates})
        rows = session.scalars(
            select(Notification)
            .where(Notification.id.in_([row.id for row in candidates]), Notification.incident_id.in_(incidents), due)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        return [(row, incidents[row.incident_id]) for row in rows if row.incident_id is not None]

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
        """All pages that wait for a recipient, oldest first."""
        return session.scalars(
            select(Notification)
            .where(Notification.is_held, Notification.channel == channel, Notification.recipient == recipient)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
        ).all()

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

    def bundled_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """The pages that a bundle names and that still wait for it."""
        return session.scalars(
            select(Notification)
            .where(Notification.bundle_id == bundle_id, Notification.status == DeliveryStatus.PENDING)
            .order_by(Notification.id)
            .with_for_update()
        ).all()

    def lock_by_key(self, session: Session, key: UUID) -> Notification | None:
        """The message of an idempotency key, locked."""
        query = select(Notification).where(Notification.idempotency_key == key).with_for_update()
        return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()

    def named_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """All pages that a bundle names, whatever became of them, locked."""
        query = select(Notification).where(Notification.bundle_id == bundle_id).order_by(Notification.id)
        return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).all()

    def defer(self, session: Session, id_: int, *, lease_token: UUID, until: datetime) -> bool:
        """Give a message back that was claimed and not tried."""
        values = {"status": DeliveryStatus.RETRY, "next_attempt_at": until, "attempt": Notification.attempt - 1}
        return self.record(session, id_, lease_token=lease_token, values=values)

    def release_expired(self, session: Session, *, at: datetime) -> Sequence[int]:
        """Give back what a worker took and did not finish within its lease. It may have been sent."""
        return session.scalars(
            update(Notification)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .values(status=DeliveryStatus.RETRY, next_attempt_at=at, lease_until=None, lease_token=None)
            .returning(Notification.id)
        ).all()

    def standings(self, session: Session, messages: Sequence[Notification]) -> dict[int, Standing]:
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
        return {row[0]: Standing(*row[1:]) for row in session.execute(query)}

    def renew(self, session: Session, id_: int, *, lease_token: UUID, lease_until: datetime) -> bool:
        """Hold a message for longer. False if the lease was lost."""
        mine = (Notification.id == id_) & (Notification.lease_token == lease_token)
        renewed = update(Notification).where(mine).values(lease_until=lease_until)
        return affected(session.execute(renewed, execution_options={"synchronize_session": False})) == 1

    def record(self, session: Session, id_: int, *, lease_token: UUID, values: dict[str, Any]) -> bool:
        """End the lease with the outcome. False if the lease was lost: then nothing is written.

        What its provider has reported as delivered already is so, and not merely accepted.
        """
        if values["status"] is DeliveryStatus.ACCEPTED:
            is_delivered = Notification.delivered_at.is_not(None)
            values = {**values, "status": case((is_delivered, DeliveryStatus.DELIVERED), else_=DeliveryStatus.ACCEPTED)}
        result = session.execute(
            update(Notification)
            .where(Notification.id == id_, Notification.lease_token == lease_token)
            .values(lease_until=None, lease_token=None, **values),
            execution_options={"synchronize_session": False},
        )
        return affected(result) == 1


crud_notification = CRUDNotification(Notification)
crud_attempt = CRUDBase(NotificationAttempt)
