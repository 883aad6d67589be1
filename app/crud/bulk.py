"""Inserts any number of rows with one statement and one parameter.

The rows travel as JSON, which PostgreSQL unpacks: building a statement with a parameter for each value takes several
times as long as running it. The statement depends on the columns only, so it is compiled once.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from app.db.base_class import Base

Row = Mapping[str, Any]


def insert_rows(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Insert rows, as column -> value; all have the same columns. Omitted columns get their defaults."""
    if rows:
        session.execute(statement(model, tuple(rows[0])), {"rows": as_json(rows)})


@lru_cache(maxsize=64)
def statement(model: type[Base], names: tuple[str, ...]) -> Insert:
    """INSERT of these columns from the parameter `rows`, in their order. Others add ON CONFLICT or RETURNING."""
    table: Table = model.__table__  # type: ignore[assignment]  # a mapped class has a table of its own
    columns = [column(name, table.c[name].type) for name in names]
    given = func.jsonb_to_recordset(cast(bindparam("rows", type_=Text()), JSONB)).table_valued(*columns, name="given")
    return insert(table).from_select(names, select(*given.render_derived(with_types=True).c), include_defaults=False)


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON array; times in ISO 8601."""
    return json.dumps(rows, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
