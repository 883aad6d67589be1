"""Conditions that no index may serve, because another condition's index is the better one whatever PostgreSQL guesses."""

from typing import Any

from sqlalchemy import ColumnElement, DateTime, Integer, func, text
from sqlalchemy.orm import InstrumentedAttribute


def unindexed(column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """The column, for conditions on rows that other conditions have found. Null is 0, '' or infinity."""
    if isinstance(column.type, DateTime):
        return func.coalesce(column, text("'infinity'"))
    return func.coalesce(column, text("0" if isinstance(column.type, Integer) else "''"))
