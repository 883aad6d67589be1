"""Slices of lists."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    Text,
    bindparam,
    cast,
    column,
    func,
    inspect,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db.base_class import Base

Model = TypeVar("Model", bound=Base)
Item = TypeVar("Item")
Other = TypeVar("Other")
Wide = ColumnElement[Any] | InstrumentedAttribute[Any]

MAX_BYTES = 4 * 1024 * 1024
VALUE_BYTES = 64
PARENTS = "parents"  # the parameter with the ids of parents
REST_BYTES = 4_000  # at most, for a row's unmeasured columns and the names added to its ids


class Page(list[Item]):
    """The rows of a slice. If `is_cut`, only the first of them, because all would exceed the size of an answer."""

    def __init__(self, rows: Iterable[Item] = (), *, is_cut: bool = False) -> None:
        super().__init__(rows)
        self.is_cut = is_cut

    def map(self, read: Callable[[Item], Other]) -> "Page[Other]":
        """The same page with each row converted."""
        return Page(map(read, self), is_cut=self.is_cut)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a list. `after` is the last id the client has seen."""

    limit: int = 100
    skip: int = 0
    after: int | None = None
    max_bytes: int = MAX_BYTES

    def of(self, query: Select[Model], key: InstrumentedAttribute[int], *, newest_first: bool) -> Select[Model]:
        """The query, ordered by its key and cut to this slice. It measures nothing: for rows that are small."""
        if self.after is not None:
            beyond: ColumnElement[bool] = key < self.after if newest_first else key > self.after
            query = query.where(beyond)
        return query.order_by(_order(key, newest_first=newest_first)).offset(self.skip).limit(self.limit)

    def has_all(self, page: Page[Any]) -> bool:
        """True if certainly no row follows the page."""
        return len(page) < self.limit and not page.is_cut

    def read(self, session: Session, statement: Select[Any], **given: Any) -> Page[Row[Any]]:
        """The rows of this slice that fit into `max_bytes` as JSON, and always the first one.

        `statement` comes from `sliced`, and `given` has its query's own parameters.
        """
        return _page(session.execute(statement, asdict(self) | given).all())

    def read_objects(self, session: Session, statement: Select[Any], **given: Any) -> Page[Any]:
        """As `read`, for a query that selects objects."""
        rows = self.read(session, statement, **given)
        return rows.map(itemgetter(0))

    def read_each(
        self, session: Session, statement: Select[Any], parents: Collection[int]
    ) -> dict[int, Page[Row[Any]]]:
        """This slice of each parent's list. `statement` comes from `sliced_each`."""
        found: dict[int, list[Row[Any]]] = {parent: [] for parent in parents}
        for row in session.execute(statement, asdict(self) | {PARENTS: list(parents)}):
            found[row.parent].append(row)
        return {parent: _page(rows) for parent, rows in found.items()}


def _page(rows: Sequence[Row[Any]]) -> Page[Row[Any]]:
    return Page(rows, is_cut=bool(rows) and len(rows) < rows[0].wanted)


def as_dicts(rows: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    """Rows of one statement, as attribute -> value: schemas read those the fastest."""
    names = rows[0]._fields if rows else ()
    return [dict(zip(names, row, strict=True)) for row in rows]


def columns_of(model: type[Base]) -> list[InstrumentedAttribute[Any]]:
    """All columns of a model, for rows that have its attributes but are no objects: those cost five times as much."""
    return [getattr(model, column.key) for column in inspect(model).column_attrs]


def sliced(query: Select[Any], key: InstrumentedAttribute[int], *wide: Wide, newest_first: bool) -> Select[Any]:
    """The statement for `Slice.read`, whose parameters are the fields of a slice. Building it takes a millisecond.

    The database measures the `wide` columns, so that rows that do not fit are never loaded.
    """
    part = _part_of(query, key, wide, newest_first=newest_first).subquery()
    return that_fit(query, key, part, "id", newest_first=newest_first)


def sliced_each(
    query: Select[Any],
    key: InstrumentedAttribute[int],
    *wide: Wide,
    parent: InstrumentedAttribute[int],
    newest_first: bool,
) -> Select[Any]:
    """The statement for `Slice.read_each`: as `sliced`, for the rows of each parent on its own."""
    given = func.unnest(bindparam(PARENTS, type_=ARRAY(Integer))).table_valued(column("id", Integer), name="given")
    ids = given.render_derived()
    part = _part_of(query.where(parent == ids.c.id), key, wide, newest_first=newest_first).lateral()
    each = select(ids.c.id.label("parent"), part).select_from(ids).join(part, true()).subquery()
    return that_fit(query, key, each, "id", newest_first=newest_first)


def _part_of(query: Select[Any], key: Any, wide: Sequence[Wide], *, newest_first: bool) -> Select[Any]:
    """The ids of a slice, with the weight of each row."""
    after = bindparam("after", type_=Integer)
    beyond = key < after if newest_first else key > after
    return (
        query.with_only_columns(key.label("id"), weight_of(wide).label("weight"))
        .where(after.is_(None) | beyond)
        .order_by(_order(key, newest_first=newest_first))
        .offset(bindparam("skip", type_=Integer))
        .limit(bindparam("limit", type_=Integer))
    )


def that_fit(
    query: Select[Any], key: InstrumentedAttribute[int], part: FromClause, *places: str, newest_first: bool
) -> Select[Any]:
    """The rows of a part that fit into `max_bytes`, and how many were `wanted`: of each parent, if it has parents.

    The part has the rows' ids and weights, and the columns `places`, which give the order.
    """
    parents = [part.c.parent] if "parent" in part.c else []
    order = [_order(part.c[name], newest_first=newest_first) for name in places]
    total = func.sum(part.c.weight).over(partition_by=parents, order_by=order, rows=(None, 0))
    wanted = func.count().over(partition_by=parents)
    weighed = select(part, total.label("total"), wanted.label("wanted")).subquery()
    fits = (weighed.c.total <= bindparam("max_bytes", type_=Integer)) | (weighed.c.total == weighed.c.weight)
    said = [weighed.c[name] for name in ("wanted", "parent") if name in weighed.c]
    wanted_of = select(*_selected(query), *said).join_from(key.class_, weighed, weighed.c.id == key)
    return wanted_of.where(fits).order_by(*(_order(weighed.c[name], newest_first=newest_first) for name in places))


def _selected(query: Select[Any]) -> list[Any]:
    """What a query selects: a model, or columns."""
    return [description["expr"] for description in query.column_descriptions]


def _order(key: Any, *, newest_first: bool) -> Any:
    return key.desc() if newest_first else key.asc()


def as_json(*texts: Any) -> ColumnElement[int]:
    """The size of texts as one JSON string."""
    return func.octet_length(cast(func.to_json(func.concat("", *texts)), Text))


def _json_weight(text: ColumnElement[str]) -> ColumnElement[int]:
    """The size of JSON, and VALUE_BYTES for each value: an empty object of three characters takes Python 64 bytes.

    There are as many values as commas. The sum is written so that the text is made twice only.
    """
    return (1 + VALUE_BYTES) * func.octet_length(text) - VALUE_BYTES * func.octet_length(func.replace(text, ",", ""))


def weight_of(wide: Sequence[Wide]) -> ColumnElement[int]:
    """The size of a row as JSON, and of its small values in memory. Integers among the columns are sizes already."""
    json = [_json_weight(cast(column, Text)) for column in wide if isinstance(column.type, JSONB)]
    texts = [column for column in wide if isinstance(column.type, String)]
    bytes_ = [column for column in wide if isinstance(column.type, Integer)]
    return sum((func.coalesce(part, 0) for part in (*json, *bytes_, as_json(*texts))), start=literal(REST_BYTES))
