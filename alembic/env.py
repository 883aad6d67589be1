"""Run migrations on the service's own database, or on the connection that the service hands over."""

import logging

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
LOCK_TIMEOUT = "5s"


def run(connection: Connection) -> None:
    """Migrate in one transaction. If a table stays locked, roll everything back."""
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        context.run_migrations()


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
