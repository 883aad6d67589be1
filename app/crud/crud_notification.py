"""The outbox."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session, defer, selectinload

from app.core.vocabulary import DeliveryStatus, IncidentStatus, NotificationKind
from app.crud.base import CRUDBase, affected
from app.crud.clock import NOW_COLUMN
from app.crud.crud_incident import crud_incident
from app.crud.pagination import Slice
from app.crud.wakeup import wake
from app.models import Incident, Notification, NotificationAttempt, User

WITH_ATTEMPTS = (
    selectinload(Notification.attempts),
    selectinload(Notification.bundle).selectinload(Notification.attempts),
)
WAITING = Notification.status.in_([DeliveryStatus.PENDING, DeliveryStatus.RETRY])
UNLEASED: dict[str, Any] = {"lease_until": None, "lease_token": None}
FALLBACK_LATE = timedelta(seconds=90)  # every fallback that was not postponed is due before that, or in the past
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
class Standing:
    """A message's lease, its incident and its recipient at a moment. None: it has no such thing."""

    at: datetime
    lease_token: UUID | None
    lease_until: datetime | None
    status: IncidentStatus | None
    cycle: int | None
    is_recipient_active: bool | None


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
    def slice(
        self, session: Session, wanted: NotificationFilter, part: Slice, *, visible_to: int | None
    ) -> Sequence[Notification]:
        """Deliveries, newest first; of everybody if `visible_to` is None."""
        query = select(Notification).where(*wanted.conditions()).options(*WITH_ATTEMPTS)
        if visible_to is not None:
            query = query.where(Notification.user_id == visible_to)
        return session.scalars(part.of(query, Notification.id, newest_first=True)).all()

    def with_attempts(self, session: Session, id_: int) -> Notification:
        query = select(Notification).where(Notification.id == id_).options(*WITH_ATTEMPTS)
        return session.scalars(query).one()

    def add_all(self, session: Session, objs: Sequence[Notification]) -> None:
        """Insert messages, and wake the workers when the transaction is committed."""
        super().add_all(session, objs)
        if objs:
            wake(session, "send")

    def unsent_of(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Pages of an incident's cycle that nobody has begun to send, and whose fallback is still to come."""
        return session.scalars(
            select(Notification).where(
                Notification.incident_id == incident_id,
                Notification.cycle == cycle,
                Notification.status == DeliveryStatus.PENDING,
                Notification.bundle_id.is_(None),
                Notification.fallback_at.is_not(None),
            )
        ).all()

    def of_incident_cycle(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Every page of an incident's cycle."""
        return session.scalars(
            select(Notification).where(Notification.incident_id == incident_id, Notification.cycle == cycle)
        ).all()

    def of_incident_cycle_with_bundles(self, session: Session, incident_id: int, cycle: int) -> Sequence[Notification]:
        """Every page of an incident's cycle, with the message that carries it together with others."""
        query = select(Notification).where(Notification.incident_id == incident_id, Notification.cycle == cycle)
        return session.scalars(query.options(selectinload(Notification.bundle))).all()

    def of_event(self, session: Session, event_id: int) -> Sequence[Notification]:
        """What a step sent, in whatever cycle its pages fell back."""
        return session.scalars(select(Notification).where(Notification.event_id == event_id)).all()

    def without_event(self, session: Session, incident_id: int | None, *, since: datetime) -> Sequence[Notification]:
        """What was sent about an incident without a step, since a time."""
        own = Notification.event_id.is_(None) & (Notification.incident_id == incident_id)
        return session.scalars(select(Notification).where(own, Notification.created_at >= since)).all()

    def has_postponed_fallback(self, session: Session, *, at: datetime) -> bool:
        """True if what follows a page that did not arrive could not be done, and is to be tried again."""
        is_late = Notification.fallback_at > Notification.created_at + FALLBACK_LATE
        query = select(Notification.id).where(Notification.fallback_at > at, is_late)
        return session.scalar(query.limit(1)) is not None

    def has_stuck(self, session: Session, *, before: datetime) -> bool:
        """True if a message was due before a time, or its lease ended then, and nobody has taken it."""
        is_late = WAITING & (Notification.next_attempt_at < before)  # also while its person's pace holds it
        is_lost = (Notification.status == DeliveryStatus.SENDING) & (Notification.lease_until < before)
        return any(session.scalar(select(Notification.id).where(which).limit(1)) for which in (is_late, is_lost))

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
        about = select(Notification.incident_id).where(due, Notification.incident_id.is_not(None))
        incidents = crud_incident.lock_free(session, about.order_by(Notification.fallback_at), limit=limit)
        rows = session.scalars(
            select(Notification)
            .where(Notification.incident_id.in_(incidents), due)
            .order_by(Notification.fallback_at, Notification.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        return [(row, incidents[row.incident_id]) for row in rows if row.incident_id is not None]

    def postpone_fallback(self, session: Session, id_: int, *, until: datetime) -> None:
        """Look after a page later that could not be looked after now."""
        self._update(session, Notification.id == id_, {"fallback_at": until})

    def bundled_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """The pages that a bundle names and that still wait for it, without what each of them would say by itself."""
        return session.scalars(
            select(Notification)
            .options(defer(Notification.body, raiseload=True), defer(Notification.html, raiseload=True))
            .where(Notification.bundle_id == bundle_id, Notification.status == DeliveryStatus.PENDING)
            .order_by(Notification.id)
            .with_for_update()
        ).all()

    def end_all(self, session: Session, ids: Collection[int], values: dict[str, Any]) -> None:
        """Write the same end of several messages."""
        self._update(session, Notification.id.in_(ids), values)

    def lock_by_key(self, session: Session, key: UUID) -> Notification | None:
        """The message of an idempotency key, locked."""
        query = select(Notification).where(Notification.idempotency_key == key).with_for_update()
        return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()

    def named_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """All pages that a bundle names, whatever became of them, locked."""
        query = select(Notification).where(Notification.bundle_id == bundle_id).order_by(Notification.id)
        return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).all()

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

    def release_expired(self, session: Session, *, at: datetime, beside: Collection[int] = ()) -> Sequence[int]:
        """Give back what a worker took and did not finish within its lease, `beside` these. It may have been sent.

        What its provider reported as delivered meanwhile has come to its end.
        """
        expired = (
            select(Notification.id)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .where(Notification.id.not_in(beside))
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

    def _end_arrived(self, session: Session, which: ColumnElement[bool]) -> None:
        self._update(session, which, ARRIVED)
        self._update(session, which & Notification.kind.in_(SECRETS), ERASED)

    def _update(self, session: Session, which: ColumnElement[bool], values: dict[str, Any]) -> None:
        session.execute(
            update(Notification).where(which).values(**values), execution_options={"synchronize_session": False}
        )


crud_notification = CRUDNotification(Notification)
crud_attempt = CRUDBase(NotificationAttempt)
