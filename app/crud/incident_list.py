"""The list of incidents, newest first: what may be asked of it, and its statement.

A list by a field reads ranges: one range of an index for each value and status, each cut to the length of the page. So
it costs the same however many incidents there are, and however many of them match. Words, and several fields that many
incidents share, are left to PostgreSQL, which knows how rare each value is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    bindparam,
    func,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy import column as sql_column
from sqlalchemy.orm import InstrumentedAttribute

from app.core.vocabulary import IncidentStatus, Severity
from app.crud.pagination import columns_of, that_fit, weight_of
from app.crud.time_slice import OLDEST, Place
from app.crud.unindexed import unindexed
from app.models import Escalation, Incident

SEARCHED = (Incident.title, Incident.description, Incident.service)
WIDE = (*SEARCHED, Incident.alert_id, Incident.metadata_)
WORD = "word_"
LEADING = ("assigned_to", "created_by", "service", "severity", "source")  # each begins an index, then comes the status
NARROW = ("assigned_to", "created_by", "service")  # few incidents have one value of these: others are looked for there
TIMES = ("created_after", "created_before")
PLACE = ("created_at", "id")
Places = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What to list. Values of one field are alternatives, fields must all hold."""

    status: Sequence[IncidentStatus] = ()
    severity: Sequence[Severity] = ()
    service: Sequence[str] = ()
    source: Sequence[str] = ()
    assigned_to: Sequence[int] = ()
    created_by: Sequence[int] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    is_unmatched: bool | None = None
    words: Sequence[str] = field(default=())

    def given(self) -> dict[str, Any]:
        """The fields that narrow the list, except times, as parameters of the statement; each word is one."""
        names = [one.name for one in dataclass_fields(self) if one.name not in ("words", *TIMES)]
        given = {name: getattr(self, name) for name in names if getattr(self, name) not in ((), [], None)}
        return given | {f"{WORD}{place}": _pattern(word) for place, word in enumerate(self.words)}

    def ranges(self) -> dict[str, list[Any]]:
        """The values of the columns that an index begins with, one of each for every range. Empty: no index fits."""
        fields = [name for name in LEADING if getattr(self, name)]
        is_broad = len(fields) > 1 and fields[0] not in NARROW
        if self.words or self.is_unmatched or is_broad or not (fields or self.status):
            return {}
        names = [*fields[:1], "status"]
        alternatives = [dict.fromkeys(getattr(self, name) or IncidentStatus) for name in names]
        return dict(zip(names, map(list, zip(*product(*alternatives), strict=True)), strict=True))

    def bounds(self, before: Place) -> dict[str, Any]:
        """The part of the list that lies before a place and between the given times."""
        if self.created_before is not None:
            before = min(before, Place(self.created_before, 0))
        return {"before_at": before.at, "before_id": before.id, "after_at": self.created_after or OLDEST.at}


def statement_for(wanted: IncidentFilter, before: Place) -> tuple[Select[Any], dict[str, Any]]:
    """The statement for `Slice.read` that lists the incidents before a place, and its parameters."""
    given, ranges = wanted.given(), wanted.ranges()
    rest = {name: value for name, value in given.items() if name not in ranges}
    statement = _listing(tuple(rest), tuple(ranges), has_start=wanted.created_after is not None)
    return statement, rest | ranges | wanted.bounds(before)


def as_rows() -> Select[Any]:
    """Incidents as rows, with when their next step is due.

    OFFSET keeps PostgreSQL from looking for the minimum in the index of all due times, one after the other.
    """
    due = select(Escalation.next_run_at).where(Escalation.incident_id == Incident.id).correlate(Incident).offset(0)
    first = select(func.min(due.subquery().c.next_run_at)).scalar_subquery()
    return select(*columns_of(Incident), first.label("next_escalation_at"))


@lru_cache(maxsize=256)
def _listing(conditions: tuple[str, ...], leading: tuple[str, ...], *, has_start: bool) -> Select[Any]:
    """The statement for lists with these parameters, by ranges if there are columns that lead."""
    wanted = [_condition(name, is_indexed=not leading) for name in conditions]
    page = (_by_ranges(leading, wanted) if leading else _by_time(wanted, has_start=has_start)).subquery()
    weighed = select(page, weight_of(WIDE).label("weight")).join(Incident, Incident.id == page.c.id).subquery()
    return that_fit(as_rows(), Incident.id, weighed, *PLACE, newest_first=True)


def _by_time(wanted: Sequence[ColumnElement[bool]], *, has_start: bool) -> Places:
    """The places of a page, from all incidents in their order.

    Without statistics, PostgreSQL takes two bounds for few rows, and would sort them: it has the lower one if needed.
    """
    before, after = _bounds((), ())
    bounds = (before, after) if has_start else (before,)
    return _cut(select(Incident.created_at, Incident.id).where(*bounds, *wanted), Incident)


def _by_ranges(leading: Sequence[str], wanted: Sequence[ColumnElement[bool]]) -> Places:
    """As `_by_time`, from one range for each combination of the leading columns' values.

    Each is in the order of the index that begins with these columns, so that no other index will do.
    """
    columns: list[InstrumentedAttribute[Any]] = [getattr(Incident, name) for name in leading]
    ranges = _given_ranges(columns)
    order = [column.desc() for column in (*columns, Incident.created_at, Incident.id)]
    values = [ranges.c[name] for name in leading]
    each = select(Incident.created_at, Incident.id).where(*_bounds(columns, values), *wanted).order_by(*order)
    longest: ColumnElement[int] = bindparam("skip", type_=Integer) + bindparam("limit", type_=Integer)
    found = each.limit(longest).lateral()
    return _cut(select(found.c.created_at, found.c.id).select_from(ranges).join(found, true()), found.c)


def _given_ranges(columns: Sequence[InstrumentedAttribute[Any]]) -> Any:
    """The parameters of these columns' names, which are arrays of one length, as a table."""
    types = {one.key: Integer() if isinstance(one.type, Integer) else String() for one in columns}
    arrays = [bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items()]
    ranges = [sql_column(name, type_) for name, type_ in types.items()]
    return func.unnest(*arrays).table_valued(*ranges, name="ranges").render_derived()


def _bounds(columns: Sequence[Any], values: Sequence[Any]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The two ends of the part of an index that has these values in its columns."""
    time, place = DateTime(timezone=True), tuple_(*columns, Incident.created_at, Incident.id)
    before = tuple_(*values, bindparam("before_at", type_=time), bindparam("before_id", type_=Integer))
    return place < before, place >= tuple_(*values, bindparam("after_at", type_=time), 0)


def _cut(places: Places, of: Any) -> Places:
    newest_first = places.order_by(of.created_at.desc(), of.id.desc())
    return newest_first.offset(bindparam("skip", type_=Integer)).limit(bindparam("limit", type_=Integer))


def _pattern(word: str) -> str:
    """What ILIKE needs to find a word anywhere in a text."""
    escaped = word.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{escaped}%"


def _condition(name: str, *, is_indexed: bool) -> ColumnElement[bool]:
    """What a parameter of `IncidentFilter.given` demands. Unless `is_indexed`, no index has it."""
    value: Any = bindparam(name)
    if name.startswith(WORD):
        return or_(*(column.ilike(value, escape="/") for column in SEARCHED))
    column: InstrumentedAttribute[Any] = getattr(Incident, name)
    wanted = column == value if name == "is_unmatched" else column.in_(bindparam(name, expanding=True))
    return wanted if is_indexed else unindexed(wanted)
