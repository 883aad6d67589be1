"""Status updates for people who were paged."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    String,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert, distinct_on, insert
from sqlalchemy.orm import Session, aliased

from app.core.vocabulary import DeliveryStatus, UpdateEvent
from app.crud.base import CRUDBase
from app.crud.bulk import as_json
from app.crud.crud_notification import IS_PAGE
from app.models import Notification, StatusUpdate

REACHED = [DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED]
TABLE: Table = StatusUpdate.__table__  # type: ignore[assignment]  # a mapped class has a table of its own
NEW = ("incident_id", "cycle", "event", "said", "user_id", "recipient", "channel", "address", "created_at", "due_at")


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of an incident in a cycle, in a sentence. `by_id` is its author, who gets no update about it."""

    incident_id: int
    cycle: int
    event: UpdateEvent
    said: str
    by_id: int | None


class CRUDStatusUpdate(CRUDBase[StatusUpdate]):
    def add_for_paged(
        self, session: Session, changes: Sequence[StatusChange], *, at: datetime, due_at: datetime
    ) -> None:
        """Add an update for each person and channel that a page of these cycles has reached, or is about to.

        One statement for all changes. Each of them is added once for an incident's cycle, however often it happens.
        """
        rows = as_json([asdict(change) for change in changes])
        session.execute(_adding(), {"rows": rows, "at": at, "due_at": due_at})

    def recipients_due(self, session: Session, channel: str, *, at: datetime, limit: int) -> Sequence[str]:
        """The people whose updates are due on a channel, except those with pages waiting there: pages go first."""
        waits = select(Notification.id).where(
            Notification.is_throttled,
            Notification.recipient == StatusUpdate.recipient,
            Notification.channel == channel,
        )
        due = (StatusUpdate.channel == channel) & StatusUpdate.ended_at.is_(None) & (StatusUpdate.due_at <= at)
        query = select(StatusUpdate.recipient).where(due, ~waits.exists()).distinct().limit(limit)
        return session.scalars(query).all()

    def lock_open(self, session: Session, channel: str, recipients: Collection[str]) -> Sequence[StatusUpdate]:
        """All updates for these people by a channel, locked, oldest first, without those that are locked already."""
        mine = (StatusUpdate.channel == channel) & StatusUpdate.recipient.in_(recipients)
        query = select(StatusUpdate).where(mine, StatusUpdate.ended_at.is_(None)).order_by(StatusUpdate.id)
        return session.scalars(query.with_for_update(skip_locked=True)).all()

    def that_follow_a_page(self, session: Session, ids: Collection[int]) -> set[int]:
        """Those of the updates whose person a page of the same cycle has reached by the same channel."""
        page = (
            select(Notification.id)
            .where(
                Notification.incident_id == StatusUpdate.incident_id,
                Notification.cycle == StatusUpdate.cycle,
                Notification.recipient == StatusUpdate.recipient,
                Notification.channel == StatusUpdate.channel,
                IS_PAGE,
                Notification.status.in_(REACHED),
            )
            .exists()
        )
        return set(session.scalars(select(StatusUpdate.id).where(StatusUpdate.id.in_(ids), page)))

    def end(self, session: Session, ids: Collection[int], *, at: datetime) -> None:
        """End these updates: they were sent or are no longer true."""
        ended = update(StatusUpdate).where(StatusUpdate.id.in_(ids)).values(ended_at=at)
        session.execute(ended, execution_options={"synchronize_session": False})


@cache
def _adding() -> Insert:
    return insert(TABLE).from_select(NEW, _told(_given()), include_defaults=False).on_conflict_do_nothing()


def _given() -> TableValuedAlias:
    """The changes of the bound parameter `rows`, as rows."""
    columns = (
        column("incident_id", Integer),
        column("cycle", Integer),
        column("event", String),
        column("said", Text),
        column("by_id", Integer),
    )
    rows = func.jsonb_to_recordset(cast(bindparam("rows", type_=Text()), JSONB))
    return rows.table_valued(*columns, name="given").render_derived(with_types=True)


def _told(given: TableValuedAlias) -> Select[Any]:
    """The updates to add, in the order of NEW: the newest address of each person, channel and event."""
    bundle = aliased(Notification)
    is_sent = Notification.status.in_([DeliveryStatus.SENDING, *REACHED])
    is_sent_in_bundle = (Notification.status == DeliveryStatus.PENDING) & (bundle.status == DeliveryStatus.SENDING)
    person = (Notification.incident_id, Notification.recipient, Notification.channel)
    told = select(
        Notification.incident_id,
        Notification.cycle,
        given.c.event,
        given.c.said,
        Notification.user_id,
        Notification.recipient,
        Notification.channel,
        Notification.address,
        bindparam("at", type_=StatusUpdate.created_at.type),
        bindparam("due_at", type_=StatusUpdate.due_at.type),
    )
    return (
        told.join(given, (given.c.incident_id == Notification.incident_id) & (given.c.cycle == Notification.cycle))
        .outerjoin(bundle, bundle.id == Notification.bundle_id)
        .where(IS_PAGE, is_sent | is_sent_in_bundle)
        .where(Notification.user_id.is_distinct_from(given.c.by_id) | given.c.by_id.is_(None))
        .ext(distinct_on(*person, given.c.event))
        .order_by(*person, given.c.event, Notification.id.desc())
    )


crud_status_update = CRUDStatusUpdate(StatusUpdate)
