"""Asks the database one question past SQLAlchemy, which would take three times as long.

For what every process asks all the time, also while it is idle.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.db.session import Database, autocommit


def ask(database: Database, query: str) -> tuple[Any, ...] | None:
    """The first row that a query without parameters finds. Raises what a session would raise."""
    with _errors_as_of_a_session(query):
        if isinstance(database.bind, Connection):
            return _first_row(database.bind.connection.dbapi_connection, query)
        with closing(database.bind.raw_connection()) as pooled:
            try:
                with autocommit(pooled.dbapi_connection):
                    return _first_row(pooled.dbapi_connection, query)
            except psycopg2.Error:
                pooled.invalidate()
                raise


def _first_row(connection: Any, query: str) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


@contextmanager
def _errors_as_of_a_session(query: str) -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        raise DBAPIError.instance(query, {}, error, psycopg2.Error, hide_parameters=True) from error
