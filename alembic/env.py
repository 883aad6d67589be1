"""Run migrations on the service's own database, or on the connection that the service hands over."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from alembic.util import CommandError
from sqlalchemy import Connection, text

from alembic import context
from app.core.config import get_settings
from app.core.errors import ConfigurationError
from app.core.logging import configure_logging
from app.db.base import Base
from app.db.migrations import explained
from app.utils.service_locator import database_of

# Any number of processes may start at once: one migrates, the others wait and find nothing left to do.
MIGRATION_LOCK = 0x1A5C1D
POLL_SECONDS = 0.1
LIMITS = {"lock_timeout": "5s", "statement_timeout": "0"}  # of every migration; one may set its own


def run(connection: Connection) -> None:
    """Migrate, each revision in a transaction of its own. If a table stays locked, roll that one back."""
    with _alone(connection), _limited(connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Let no other process migrate meanwhile.

    Waits without a transaction: an index that is built concurrently waits for all transactions that began before.
    """
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}):
        connection.rollback()
        time.sleep(POLL_SECONDS)
    connection.rollback()
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.rollback()


@contextmanager
def _limited(connection: Connection) -> Iterator[None]:
    """Set the limits for the connection, and afterwards what they were: the service goes on using it."""
    before = {name: connection.scalar(text(f"SHOW {name}")) for name in LIMITS}
    _set(connection, LIMITS)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            _set(connection, before)


def _set(connection: Connection, limits: Mapping[str, str | None]) -> None:
    for name, value in limits.items():
        connection.execute(text(f"SET {name} = '{value}'"))
    connection.commit()


def run_online() -> None:
    """Use the connection in the configuration's attributes, or open the database of the settings."""
    handed_over = context.config.attributes.get("connection")
    if handed_over is not None:
        run(handed_over)
        return
    settings = get_settings()
    configure_logging(settings)
    logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)  # an operator wants to see what runs
    with database_of(settings) as database, database.connection() as connection:
        try:
            with explained(connection):
                run(connection)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error  # alembic prints this without a traceback


def run_offline() -> None:
    """Print the SQL (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
