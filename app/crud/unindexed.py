"""Conditions that no index serves, because another condition's index is the better one whatever PostgreSQL guesses."""

from sqlalchemy import ColumnElement, false, func


def unindexed(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, for rows that other conditions find. PostgreSQL expects half of them to meet it."""
    return func.coalesce(condition, false())
