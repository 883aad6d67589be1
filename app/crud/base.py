"""What every repository does: get, add, apply changes, read a page. And what time it is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    DateTime,
    Result,
    Select,
    event,
    func,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, SessionTransaction
from sqlalchemy.orm.attributes import flag_modified

from app.db.base_class import Base
from app.db.session import WAKE_CHANNEL

Model = TypeVar("Model", bound=Base)

# Tests and rehearsals move the service's time with `SET incidents.clock_offset = '5 minutes'`.
CLOCK = "now() + coalesce(nullif(current_setting('incidents.clock_offset', true), ''), '0')::interval"
NOW = text(f"SELECT {CLOCK}")
NOW_COLUMN: ColumnElement[datetime] = literal_column(CLOCK, DateTime(timezone=True))


def now(session: Session) -> datetime:
    """The time of this transaction, from the database's clock: the same for every process."""
    moment: datetime = session.execute(NOW).scalar_one()
    return moment


def _differ(old: Any, new: Any) -> bool:
    """Within JSON, true is not 1, as it is in Python."""
    if isinstance(old, (dict, list)) and isinstance(new, (dict, list)):
        return json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
    return bool(old != new)


def affected(result: Result[*tuple[Any, ...]]) -> int:
    """How many rows an UPDATE or DELETE touched."""
    return cast("CursorResult[*tuple[Any, ...]]", result).rowcount


def wait_briefly(session: Session, seconds: float = 0.2) -> None:
    """From now on wait so long at most for what others hold, until this transaction or savepoint ends."""
    session.execute(text(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}"))


def wake(session: Session, job: str) -> None:
    """Wake the workers' job when this transaction is committed, once for all that it wrote."""
    woken: set[str] = session.info.setdefault("woken", set())
    if job not in woken:
        woken.add(job)
        session.execute(select(func.pg_notify(WAKE_CHANNEL, job)))


@event.listens_for(Session, "after_soft_rollback")
def _forget_woken(session: Session, _transaction: SessionTransaction) -> None:
    """A rollback, also that of a savepoint, takes back what was notified within."""
    session.info.pop("woken", None)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a list. `after` is the last id that the client has seen."""

    limit: int = 100
    skip: int = 0
    after: int | None = None

    def of(self, query: Select[Model], key: InstrumentedAttribute[int], *, newest_first: bool) -> Select[Model]:
        """The query, ordered by its key and cut to this slice."""
        if self.after is not None:
            beyond: ColumnElement[bool] = key < self.after if newest_first else key > self.after
            query = query.where(beyond)
        order = key.desc() if newest_first else key.asc()
        return query.order_by(order).offset(self.skip).limit(self.limit)


class CRUDBase(Generic[Model]):
    """Generic statements on one table. Nothing here commits."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model

    def get(self, session: Session, id_: int) -> Model | None:
        return session.get(self.model, id_)

    def add(self, session: Session, obj: Model) -> Model:
        """Insert at once, so that constraints speak here."""
        session.add(obj)
        session.flush()
        return obj

    def stage(self, session: Session, obj: Model) -> Model:
        """Insert with the next flush, together with whatever else waits."""
        session.add(obj)
        return obj

    def add_all(self, session: Session, objs: Sequence[Model]) -> None:
        """Insert many with one statement for each batch."""
        session.add_all(objs)
        session.flush()

    def insert_all(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Insert what nobody looks at afterwards, by its attributes, with one statement and without objects."""
        if rows:
            session.execute(insert(self.model), rows)

    def apply(self, session: Session, obj: Model, changes: dict[str, Any], *, at: datetime) -> dict[str, Any]:
        """Set the given attributes. Returns what really changed, as attribute -> old value."""
        old = {name: getattr(obj, name) for name, value in changes.items() if _differ(getattr(obj, name), value)}
        for name in old:
            setattr(obj, name, changes[name])
            flag_modified(obj, name)
        if old:
            obj.updated_at = at  # type: ignore[attr-defined]  # every table that is updated has Timestamps
        session.flush()
        return old
