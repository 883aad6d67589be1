"""Counts what a request asks of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.db.session import Database


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that are executed within the block, in their order."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.bind, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.bind, "before_cursor_execute", note)
