"""The lease under which a worker holds a message: renewed, released, expired, or ended with an outcome."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Uuid, any_, bindparam, column, select, update
from sqlalchemy.orm import Session, defer
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.vocabulary import DeliveryStatus, IncidentStatus
from app.crud import bulk
from app.crud.base import CRUDBase
from app.crud.clock import NOW_COLUMN
from app.crud.crud_notification import WAITING
from app.models import Incident, Notification, User

WITHOUT_TEXTS = [defer(column, raiseload=True) for column in (Notification.body, Notification.html)]
UNLOADED = {"synchronize_session": False}  # the objects of the session stay as they are


@dataclass(frozen=True, slots=True)
class LeasedChange:
    """New values of a message's attributes, and the lease by which its worker may write them."""

    id: int
    lease_token: UUID
    values: Mapping[str, Any]


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

    def write(self, session: Session, changes: Iterable[LeasedChange]) -> dict[int, Fenced]:
        """Set columns of messages, with one statement for those whose changed columns are the same.

        Returns what was found by message id, without the messages whose lease this worker no longer holds: of those
        nothing is written.
        """
        alike: dict[tuple[str, ...], list[LeasedChange]] = defaultdict(list)
        for change in changes:
            alike[tuple(change.values)].append(change)
        found: dict[int, Fenced] = {}
        for attributes, group in alike.items():
            rows = [{"message": c.id, "token": c.lease_token, **bulk.by_column(Notification, c.values)} for c in group]
            written = session.execute(_writing(attributes), {"rows": bulk.as_json(rows)}, execution_options=UNLOADED)
            found |= {row.id: Fenced(row.delivered_at) for row in written}
        return found

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
        others = self._expired(at).where(Notification.id.not_in(excluding))
        return session.scalars(others.options(*WITHOUT_TEXTS)).all()

    def lock_unleased(self, session: Session, ids: Collection[int]) -> Sequence[Notification]:
        """Those of these messages that wait to be claimed. Locked, without their texts. Skips what others hold."""
        return session.scalars(
            select(Notification)
            .where(Notification.id == any_(bindparam("ids", sorted(ids), type_=ARRAY(Integer))), WAITING)
            .options(*WITHOUT_TEXTS)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()

    def _expired(self, at: datetime) -> Select[Notification]:
        return (
            select(Notification)
            .where(Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= at)
            .order_by(Notification.id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )


@lru_cache(maxsize=64)
def _writing(attributes: tuple[str, ...]) -> ReturningUpdate[Any]:
    names = tuple(bulk.by_column(Notification, dict.fromkeys(attributes)))
    keys = column("message", Integer), column("token", Uuid)
    given = bulk.given_rows(Notification, names, "rows", *keys)
    table = bulk.table_of(Notification)
    mine = (table.c.id == given.c.message) & (table.c.lease_token == given.c.token)
    changed = update(table).where(mine).values({name: given.c[name] for name in names})
    return changed.returning(table.c.id, table.c.delivered_at)


crud_lease = CRUDLease(Notification)
