"""Looks into the database: at what is stored there, and at requests that meet at a lock."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import text

from app.db.session import Database
from tests.support.waiting import wait_until

Result = TypeVar("Result")

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def meeting_at(database: Database, statement: str, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run a statement, and commit it when all jobs wait for the locks that it holds."""
    with ThreadPoolExecutor(len(jobs)) as threads:
        with database.transaction() as session:
            session.execute(text(statement))
            running = [threads.submit(job) for job in jobs]
            wait_until(lambda: waiting(database) == len(jobs), seconds=30)
        return [future.result(60) for future in running]


def waiting(database: Database) -> int:
    """How many transactions wait for a lock."""
    with database.transaction() as session:
        count: int = session.execute(WAITING).scalar_one()
    return count


def stored_text(database: Database, *tables: str) -> str:
    """All that is in the tables, as text."""
    with database.transaction() as session:
        rows = [row for table in tables for row in session.scalars(text(f"SELECT t::text FROM {table} t"))]
    return "\n".join(rows)
