"""Limits the database time of a request that only reads.

Each statement may take the time that the earlier ones have left. PostgreSQL stops it after that: the limit is sent with
the statement, in the same message, and again only once the one in force is too generous.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg2.errors
import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from app.core.errors import QueryTooSlow

log = structlog.get_logger()

READING_SECONDS = 3.0
LIMIT = re.compile(r"SET LOCAL statement_timeout = \d+; ")
TOLERANCE_SECONDS = 0.1


@dataclass
class Budget:
    """The time left for the statements of one transaction, and the limit that PostgreSQL has."""

    seconds: float
    limit: float | None = None
    started_at: float = 0.0

    def begin(self, statement: str) -> str:
        """The statement with its limit, computed when it is sent."""
        self.started_at = monotonic()
        if self.limit is not None and self.limit <= self.seconds:
            return statement
        self.limit = max(self.seconds - TOLERANCE_SECONDS, 0.001)
        return f"SET LOCAL statement_timeout = {self.limit * 1000:.0f}; {statement}"

    def end(self) -> None:
        self.seconds -= monotonic() - self.started_at


def without_limit(statement: str) -> str:
    """A statement as it was before its limit was put in front of it."""
    return LIMIT.sub("", statement, count=1)


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def limited(seconds: float = READING_SECONDS) -> Iterator[None]:
    """Limit the total time of all statements in this block, in one transaction. Raises QueryTooSlow."""
    try:
        with stopping_after(seconds):
            yield
    except OperationalError as error:
        if not isinstance(error.orig, psycopg2.errors.QueryCanceled):
            raise
        log.warning("query_too_slow", limit_seconds=seconds)
        raise QueryTooSlow(seconds) from error


@contextmanager
def stopping_after(seconds: float) -> Iterator[None]:
    """Like `limited`. Raises OperationalError."""
    outer = _current.set(Budget(seconds))
    try:
        yield
    finally:
        _current.reset(outer)


def install(engine: Engine) -> None:
    """Make `limited` apply to this engine's statements."""
    event.listen(engine, "before_cursor_execute", _before, retval=True)
    event.listen(engine, "after_cursor_execute", _after)


def _before(_connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    budget = _current.get()
    return (statement if budget is None else budget.begin(statement)), parameters


def _after(*_: Any) -> None:
    budget = _current.get()
    if budget is not None:
        budget.end()
