"""Inserts any number of rows with one statement and one parameter.

The rows travel as JSON, which PostgreSQL unpacks: building a statement with a parameter for each value takes several
times as long as running it. The statement depends on the columns only, so it is compiled once.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Integer,
    Table,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    column,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.orm import Session

from app.db.base_class import Base

Row = Mapping[str, Any]

POSITION = "position"  # of a row in its parameter: a join loses the order


def insert_rows(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Insert rows, as attribute -> value; all have the same attributes. Omitted columns get the database's defaults."""
    if rows:
        named = [by_column(model, row) for row in rows]
        session.execute(insert_of(model, tuple(named[0])), {"rows": as_json(named)})


def insertion(
    model: type[Base], names: tuple[str, ...], given: TableValuedAlias, *conditions: ColumnElement[bool]
) -> Insert:
    """INSERT of these columns from the rows of `given` that meet all conditions, in their order.

    Others add ON CONFLICT or RETURNING.
    """
    rows = select(*(given.c[name] for name in names)).where(*conditions).order_by(given.c[POSITION])
    return insert(table_of(model)).from_select(names, rows, include_defaults=False)


def table_of(model: type[Base]) -> Table:
    """The table of a model, for statements that load no objects."""
    table: Table = model.__table__  # type: ignore[assignment]  # a mapped class has a table of its own
    return table


def given_rows(
    model: type[Base], names: tuple[str, ...], parameter: str, *others: ColumnClause[Any]
) -> TableValuedAlias:
    """The rows of a parameter that `as_json` has made, as a table with these columns of a model's, and `others`."""
    table = table_of(model)
    columns = [*(column(name, table.c[name].type) for name in names), column(POSITION, Integer), *others]
    as_jsonb = cast(bindparam(parameter, type_=Text()), JSONB)
    return (
        func.jsonb_to_recordset(as_jsonb)
        .table_valued(*columns, name=f"given_{parameter}")
        .render_derived(with_types=True)
    )


@lru_cache(maxsize=64)
def insert_of(model: type[Base], names: tuple[str, ...]) -> Insert:
    return insertion(model, names, given_rows(model, names, "rows"))


@cache
def columns_by_attribute(model: type[Base]) -> Mapping[str, str]:
    """The name of each attribute's column: a few differ."""
    return {attribute.key: attribute.columns[0].name for attribute in inspect(model).column_attrs}


def by_column(model: type[Base], values: Row) -> dict[str, Any]:
    """Values by attribute, as values by column."""
    names = columns_by_attribute(model)
    return {names[name]: value for name, value in values.items()}


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON array, each with its position; times in ISO 8601."""
    numbered = [{**row, POSITION: position} for position, row in enumerate(rows)]
    return json.dumps(numbered, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
