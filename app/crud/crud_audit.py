"""The audit log's entries: writing them with what they say, and listing them.

The list reads the range of one index: that of the narrowest filter. What other filters demand is checked there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Insert,
    Integer,
    Select,
    bindparam,
    column,
    delete,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.crud import bulk
from app.crud.base import affected
from app.crud.bulk import POSITION, Row
from app.crud.pagination import Page, that_fit, weight_of
from app.crud.time_slice import OLDEST, Place, TimeSlice
from app.crud.unindexed import unindexed
from app.models import AuditEntry, AuditValue

ENTRY = (
    "action", "actor_id", "api_key_id", "session_id", "request_id", "object_type", "object_id", "size", "digests",
    "digest",
)  # fmt: skip
VALUE = ("name", "salt", "value")
OF_ENTRY = "entry"  # the position of the entry that a value belongs to
SENDER = "@sender"  # the name of the value that is the sender: no field is named like that
# The columns that lead an index, the narrowest first.
LEADING = (("object_type", "object_id"), ("actor_id",), ("action",), ("object_type",))


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to list. All fields must hold. `object_id` needs `object_type`."""

    actor_id: int | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    def given(self) -> dict[str, Any]:
        """The fields that narrow the list, except times, as parameters of the statement."""
        fields = ("actor_id", "action", "object_type", "object_id")
        return {name: value for name in fields if (value := getattr(self, name)) is not None}

    def bounds(self, before: Place) -> dict[str, Any]:
        """The part of the list that lies before a place and between the given times."""
        if self.before is not None:
            before = min(before, Place(self.before, 0))
        return {"before_at": before.at, "before_id": before.id, "after_at": self.after or OLDEST.at}


class CRUDAudit:
    """Entries are never updated, and only deleted by pruning."""

    def add(self, session: Session, entries: Sequence[Row], values: Sequence[Row]) -> None:
        """Insert entries with their values, by one statement. A value names the position of its entry."""
        session.execute(_insertion(), {"entries": bulk.as_json(entries), "values": bulk.as_json(values)})

    def slice(self, session: Session, wanted: AuditFilter, part: TimeSlice) -> Page[AuditEntry]:
        """Entries, newest first."""
        given = wanted.given()
        bounds = wanted.bounds(self._place_of(session, part.before))
        statement = _listing(tuple(given), has_start=wanted.after is not None)
        return part.read_objects(session, statement, **given, **bounds)

    def values(self, session: Session, entry_ids: Collection[int]) -> Mapping[int, Mapping[str, str]]:
        """What each of these entries says, by the values' names."""
        found: dict[int, dict[str, str]] = {id_: {} for id_ in entry_ids}
        query = select(AuditValue.entry_id, AuditValue.name, AuditValue.value)
        for entry_id, name, value in session.execute(query.where(AuditValue.entry_id.in_(found))):
            found[entry_id][name] = value
        return found

    def erase(self, session: Session, user_id: int, object_types: Collection[str]) -> int:
        """Delete what entries say about a user, and where the user's own requests came from. Returns how many values.

        Objects of these types are the user's own: their id is the user's, or begins with it and a slash.
        """
        own = str(user_id)
        is_own = or_(AuditEntry.object_id == own, AuditEntry.object_id.startswith(f"{own}/"))
        about = select(AuditEntry.id).where(AuditEntry.object_type.in_(object_types), is_own)
        sent = select(AuditEntry.id).where(AuditEntry.actor_id == user_id)
        is_theirs = AuditValue.entry_id.in_(about) | ((AuditValue.name == SENDER) & AuditValue.entry_id.in_(sent))
        erased = session.execute(delete(AuditValue).where(is_theirs), execution_options={"synchronize_session": False})
        return affected(erased)

    def _place_of(self, session: Session, place: Place | int) -> Place:
        """The place of an entry's id, or of the next smaller one."""
        if isinstance(place, Place):
            return place
        nearest = select(AuditEntry.created_at).where(AuditEntry.id <= place).order_by(AuditEntry.id.desc()).limit(1)
        return Place(session.scalar(nearest) or OLDEST.at, place)


@cache
def _insertion() -> Insert:
    """One statement: the entries get their ids first, so that their values can name them."""
    given = bulk.given_rows(AuditEntry, ENTRY, "entries")
    sequence = func.pg_get_serial_sequence(AuditEntry.__tablename__, "id")
    id_ = func.nextval(sequence, type_=Integer()).label("id")
    numbered = select(id_, *(given.c[name] for name in (*ENTRY, POSITION))).cte("numbered")
    in_order = select(numbered.c.id, *(numbered.c[name] for name in ENTRY)).order_by(numbered.c[POSITION])
    entries = bulk.table_of(AuditEntry).insert().from_select(["id", *ENTRY], in_order, include_defaults=False)
    values = bulk.given_rows(AuditValue, VALUE, "values", column(OF_ENTRY, Integer()))
    said = select(numbered.c.id, *(values.c[name] for name in VALUE)).join_from(
        numbered, values, values.c[OF_ENTRY] == numbered.c[POSITION]
    )
    table = bulk.table_of(AuditValue)
    insertion = table.insert().from_select(["entry_id", *VALUE], said, include_defaults=False)
    return insertion.add_cte(entries.cte("new_entries"))


@lru_cache(maxsize=32)
def _listing(names: tuple[str, ...], *, has_start: bool) -> Select[Any]:
    """The statement for `TimeSlice.read_objects` that lists the entries which meet these conditions."""
    leading: tuple[str, ...] = next((columns for columns in LEADING if set(columns) <= set(names)), ())
    rest = [unindexed(getattr(AuditEntry, name) == bindparam(name)) for name in names if name not in leading]
    page = _range(leading, rest, has_start=has_start).subquery()
    weighed = select(page, weight_of([AuditEntry.size]).label("weight")).join(AuditEntry, AuditEntry.id == page.c.id)
    return that_fit(select(AuditEntry), AuditEntry.id, weighed.subquery(), "created_at", "id", newest_first=True)


def _range(leading: Sequence[str], rest: Sequence[ColumnElement[bool]], *, has_start: bool) -> Select[Any]:
    """The places of a page, from the range of an index that begins with these columns.

    In the order of all its columns but those that the whole range shares: no other index has this order. Without
    statistics, PostgreSQL takes two bounds for few rows, and would sort them: it has the lower one if needed.
    """
    shared, last = leading[:-1], leading[-1:]
    columns: list[InstrumentedAttribute[Any]] = [getattr(AuditEntry, name) for name in last]
    values: list[Any] = [bindparam(column.key, type_=column.type) for column in columns]
    time = DateTime(timezone=True)
    place = tuple_(*columns, AuditEntry.created_at, AuditEntry.id)
    before = tuple_(*values, bindparam("before_at", type_=time), bindparam("before_id", type_=Integer))
    after = tuple_(*values, bindparam("after_at", type_=time), 0)
    bounds = [place < before, *([place >= after] if leading or has_start else [])]
    same = [getattr(AuditEntry, name) == bindparam(name) for name in shared]
    query: Select[*tuple[Any, ...]] = select(AuditEntry.created_at, AuditEntry.id).where(*same, *bounds, *rest)
    in_order = query.order_by(*(one.desc() for one in (*columns, AuditEntry.created_at, AuditEntry.id)))
    return in_order.offset(bindparam("skip", type_=Integer)).limit(bindparam("limit", type_=Integer))


crud_audit = CRUDAudit()
