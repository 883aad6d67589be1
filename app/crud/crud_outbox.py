"""Writes to the outbox: inserting, claiming due messages, and ending pages together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Update, any_, cast, func, select, update
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.attributes import set_committed_value

from app.core.vocabulary import DeliveryStatus, NotificationKind
from app.crud import bulk
from app.crud.base import CRUDBase
from app.crud.channels import channels_of, of_channels
from app.crud.crud_incident import crud_incident
from app.crud.crud_notification import WAITING
from app.crud.unindexed import unindexed
from app.crud.wakeup import wake
from app.models import Incident, Notification


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease for claimed messages: the worker owns them until a time, and proves it by the token."""

    taken_at: datetime
    until: datetime
    token: UUID


class CRUDOutbox(CRUDBase[Notification]):
    def add_all(self, session: Session, objs: Sequence[Notification]) -> None:
        """Insert messages, and wake the workers when the transaction is committed."""
        super().add_all(session, objs)
        if objs:
            wake(session, "send")

    def insert_pages(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Insert messages, as attribute -> value, with one statement, and wake the workers at the commit."""
        self.insert_all(session, rows)
        if rows:
            wake(session, "send")

    def unsent_of(
        self, session: Session, incident_ids: Collection[int]
    ) -> set[tuple[int | None, int | None, str, str]]:
        """The unsent pages of incidents whose fallback is still planned: incident, cycle, recipient and channel."""
        page = Notification.incident_id, Notification.cycle, Notification.recipient, Notification.channel
        rows = session.execute(
            select(*page).where(
                Notification.incident_id == any_(cast(list(incident_ids), ARRAY(Integer))),
                Notification.status == DeliveryStatus.PENDING,
                Notification.bundle_id.is_(None),
                Notification.fallback_at.is_not(None),
            )
        )
        return {(row.incident_id, row.cycle, row.recipient, row.channel) for row in rows}

    def claim_due(
        self,
        session: Session,
        channel: str | None,
        *,
        lease: Lease,
        limit: int,
        excluding: Collection[str] = (),
    ) -> Sequence[Notification]:
        """Take due messages of a channel, oldest first, under a lease. Skips those that another worker holds.

        Without a channel: those of all channels `excluding` the given ones, one channel after the other. Reads about
        `limit` rows, however many messages of other channels are due.
        """
        ready = WAITING & ~Notification.is_throttled
        channels = [channel] if channel else channels_of(session, ready).difference(excluding)
        if not channels:
            return []
        due = (
            select(Notification.id)
            .where(ready, of_channels(channels), Notification.next_attempt_at <= lease.taken_at)
            .order_by(Notification.channel, Notification.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = (
            update(Notification)
            .where(Notification.id.in_(due.scalar_subquery()))
            .values(
                status=DeliveryStatus.SENDING,
                lease_until=lease.until,
                lease_token=lease.token,
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
            .where(Notification.incident_id.in_(incidents), unindexed(Notification.fallback_at <= at))
            .order_by(Notification.fallback_at, Notification.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        return [(row, incidents[row.incident_id]) for row in rows if row.incident_id is not None]

    def postpone_fallback(self, session: Session, id_: int, *, until: datetime) -> None:
        """Postpone the fallback of a page."""
        self.write(session, [id_], {"fallback_at": until})

    def bundled_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """The pages that still wait in a bundle, without their own texts."""
        return session.scalars(
            select(Notification)
            .options(defer(Notification.body, raiseload=True), defer(Notification.html, raiseload=True))
            .where(Notification.bundle_id == bundle_id, Notification.status == DeliveryStatus.PENDING)
            .order_by(Notification.id)
            .with_for_update()
        ).all()

    def write(self, session: Session, ids: Collection[int], values: dict[str, Any]) -> None:
        """Set the same columns of several messages, which the caller has locked, with one statement."""
        changed = update(Notification).where(Notification.id.in_(ids)).values(**values)
        session.execute(changed, execution_options={"synchronize_session": False})

    def write_all(self, session: Session, messages: Sequence[Notification], values: dict[str, Any]) -> None:
        """Set the same columns of messages of this session, which has locked them, and of the objects."""
        self.write(session, [message.id for message in messages], values)
        for message in messages:
            for name, value in values.items():
                set_committed_value(message, name, value)

    def end_chains(self, session: Session, pairs: Collection[tuple[int, int]]) -> None:
        """Stop all pages of incidents to people, even those of a manual escalation: pairs of their ids.

        An ordinary page is void as soon as its incident is acknowledged, so these become ordinary ones.
        """
        if not pairs:
            return
        rows = [{"incident_id": incident_id, "user_id": user_id} for incident_id, user_id in pairs]
        options = {"synchronize_session": False}
        session.execute(_ending_chains(), {"pairs": bulk.as_json(rows)}, execution_options=options)

    def count_notices(self, session: Session, channel: str, *, limit: int) -> int:
        """How many notices are under way on a channel, at most `limit`."""
        is_under_way = WAITING | (Notification.status == DeliveryStatus.SENDING)
        mine = (Notification.channel == channel) & (Notification.kind == NotificationKind.NOTICE)
        some = select(Notification.id).where(is_under_way, mine).limit(limit).subquery()
        return session.scalar(select(func.count()).select_from(some)) or 0

    def lock_by_key(self, session: Session, key: UUID) -> Notification | None:
        """The message of an idempotency key, locked."""
        query = select(Notification).where(Notification.idempotency_key == key).with_for_update()
        return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()

    def named_in(self, session: Session, bundle_id: int) -> Sequence[Notification]:
        """All pages of a bundle, whatever their status, locked."""
        query = select(Notification).where(Notification.bundle_id == bundle_id).order_by(Notification.id)
        return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).all()


@cache
def _ending_chains() -> Update:
    given = bulk.given_rows(Notification, ("incident_id", "user_id"), "pairs")
    mine = (Notification.incident_id == given.c.incident_id) & (Notification.user_id == given.c.user_id)
    goes_on = Notification.fallback_at.is_not(None) | (Notification.ended_at.is_(None))
    made_by_hand = Notification.is_exempt & (Notification.kind == NotificationKind.MANUAL_PAGE)
    return update(Notification).where(mine, made_by_hand, goes_on).values(is_exempt=False)


crud_outbox = CRUDOutbox(Notification)
