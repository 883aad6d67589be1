"""Fills an empty database with years of incidents, to see how the service behaves as it grows.

`python -m benchmarks.seed --size 1000000` writes to the database of the settings: `DATABASE_URL`, or the
embedded one.
"""

import argparse
import sys
import time
from contextlib import closing
from typing import Any

from app.core.config import get_settings
from app.core.logging import configure_logging
from app.db.migrations import upgrade
from app.db.session import Database, connect_alone
from app.utils.service_locator import database_of
from benchmarks import seed_statements as sql

BATCH = 100_000
MIN_SIZE = 100


def fill(database: Database, size: int, *, is_analysed: bool = True) -> None:
    """Write `size` incidents and their record. Raises SystemExit if the database has incidents already.

    Unless `is_analysed`, the planner's statistics stay as they are.
    """
    with closing(connect_alone(database.bind)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            _require_empty(cursor)
            _furnish(cursor, size)
            cursor.execute(sql.RESET_IDS)
            if is_analysed:
                cursor.execute("VACUUM ANALYZE")


def _require_empty(cursor: Any) -> None:
    cursor.execute("SELECT EXISTS (SELECT FROM incidents), EXISTS (SELECT FROM escalation_policies)")
    if any(cursor.fetchone()):
        raise SystemExit("This database has incidents or policies already. Seed an empty one.")


def _furnish(cursor: Any, size: int) -> None:
    """Write without the indexes that are slow to keep, and build them at the end."""
    for statement in (sql.REPEATABLE, sql.PEOPLE, sql.POLICIES, sql.VERSIONS):
        cursor.execute(statement, {"size": size})
    cursor.execute(sql.SLOW_INDEXES)
    slow = cursor.fetchall()
    for name, _ in slow:
        cursor.execute(f'DROP INDEX "{name}"')
    try:
        for first in range(1, size + 1, BATCH):
            _write(cursor, size, first, min(first + BATCH - 1, size))
    finally:
        for _, definition in slow:
            cursor.execute(definition)


def _write(cursor: Any, size: int, first: int, last: int) -> None:
    started = time.monotonic()
    for statement in (sql.INCIDENTS, sql.TIMELINE, sql.ESCALATIONS, sql.EVENTS, sql.NOTIFICATIONS, sql.ATTEMPTS):
        cursor.execute(statement, {"size": size, "first": first, "last": last})
    print(f"{last:,} incidents, {time.monotonic() - started:.0f} s for these", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="how many incidents, at least 100")
    size = parser.parse_args().size
    if size < MIN_SIZE:
        parser.error(f"--size {size} is too small. Use {MIN_SIZE} or more.")
    settings = get_settings()
    configure_logging(settings)
    with database_of(settings) as database:
        upgrade(database)
        fill(database, size)


if __name__ == "__main__":
    main()
