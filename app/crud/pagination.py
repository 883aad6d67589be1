"""Slices of lists."""

from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute

from app.db.base_class import Base

Model = TypeVar("Model", bound=Base)


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
