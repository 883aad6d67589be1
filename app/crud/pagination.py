"""Slices of lists."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Integer, Select, String, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.orm.interfaces import ORMOption

from app.db.base_class import Base

Model = TypeVar("Model", bound=Base)
Row = TypeVar("Row")
Other = TypeVar("Other")

MAX_BYTES = 4 * 1024 * 1024
VALUE_BYTES = 64
REST_BYTES = 4_000  # at most, for a row's unmeasured columns and the names added to its ids


class Page(list[Row]):
    """The rows of a slice. If `is_cut`, only the first of them, because all would exceed the size of an answer."""

    def __init__(self, rows: Iterable[Row] = (), *, is_cut: bool = False) -> None:
        super().__init__(rows)
        self.is_cut = is_cut

    def map(self, read: Callable[[Row], Other]) -> "Page[Other]":
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
        """The query, ordered by its key and cut to this slice."""
        if self.after is not None:
            beyond: ColumnElement[bool] = key < self.after if newest_first else key > self.after
            query = query.where(beyond)
        return query.order_by(_order(key, newest_first=newest_first)).offset(self.skip).limit(self.limit)

    def read(
        self,
        session: Session,
        query: Select[Model],
        key: InstrumentedAttribute[int],
        *wide: ColumnElement[Any] | InstrumentedAttribute[Any],
        newest_first: bool,
        options: Sequence[ORMOption] = (),
    ) -> Page[Model]:
        """The rows of this slice that fit into `max_bytes` as JSON, and always the first one.

        The database measures the `wide` columns, so that rows that do not fit are never loaded.
        """
        order = partial(_order, newest_first=newest_first)
        part = self.of(query, key, newest_first=newest_first)
        rows = part.with_only_columns(key.label("id"), _weight(wide).label("weight")).subquery()
        total = func.sum(rows.c.weight).over(order_by=order(rows.c.id), rows=(None, 0))
        weighed = select(rows, total.label("total"), func.count().over().label("wanted")).subquery()
        fits = (weighed.c.total <= self.max_bytes) | (weighed.c.total == weighed.c.weight)
        whole = select(key.class_, weighed.c.wanted).join(weighed, weighed.c.id == key).where(fits)
        found = session.execute(whole.order_by(order(key)).options(*options)).all()
        return Page((row[0] for row in found), is_cut=bool(found) and len(found) < found[0].wanted)


def _order(key: Any, *, newest_first: bool) -> Any:
    return key.desc() if newest_first else key.asc()


def as_json(*texts: Any) -> ColumnElement[int]:
    """The size of texts as one JSON string."""
    return func.octet_length(cast(func.to_json(func.concat("", *texts)), Text))


def _json_weight(text: ColumnElement[str]) -> ColumnElement[int]:
    """The size of JSON, and VALUE_BYTES for each value: an empty object of three characters takes Python 64 bytes."""
    values = func.length(text) - func.length(func.translate(text, ",", ""))
    return func.octet_length(text) + VALUE_BYTES * values


def _weight(wide: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]) -> ColumnElement[int]:
    """The size of a row as JSON, and of its small values in memory. Integers among the columns are sizes already."""
    json = [_json_weight(cast(column, Text)) for column in wide if isinstance(column.type, JSONB)]
    texts = [column for column in wide if isinstance(column.type, String)]
    bytes_ = [column for column in wide if isinstance(column.type, Integer)]
    return sum((func.coalesce(part, 0) for part in (*json, *bytes_, as_json(*texts))), start=literal(REST_BYTES))
