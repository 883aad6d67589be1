"""Migrates the schema, or reports that it is behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2 import errors
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from alembic import command
from app.core.errors import ConfigurationError
from app.db.session import Database

ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"


# Which error PostgreSQL raises when an extension's files are missing depends on its version.
NOT_INSTALLED = (errors.FeatureNotSupported, errors.UndefinedFile)
EXTENSION = "CREATE EXTENSION"


def upgrade(database: Database) -> None:
    """Run every pending migration. Any number of processes may call this at once.

    Raises ConfigurationError if the database role lacks the rights, or PostgreSQL lacks an extension.
    """
    if not _pending(database):
        return
    config = Config(ALEMBIC_INI)
    with database.connection() as connection:
        config.attributes["connection"] = connection
        with explained(connection):
            command.upgrade(config, "head")


@contextmanager
def explained(connection: Connection) -> Iterator[None]:
    """Turn an error that an operator can fix into a ConfigurationError whose one sentence says how."""
    try:
        yield
    except DBAPIError as error:
        if (told := _cure(error, connection)) is None:
            raise
        raise ConfigurationError(told) from error


def _cure(error: DBAPIError, connection: Connection) -> str | None:
    """What to do about a refused statement; None if an operator cannot fix it."""
    statement, (role, name) = (error.statement or "").strip(), _login(connection)
    said = str(error.orig).partition("\n")[0]
    extension = statement.rpartition(" ")[2]
    if isinstance(error.orig, errors.InsufficientPrivilege):
        if statement.startswith(EXTENSION):
            return (
                f'role "{role}" may not create the extension {extension} in database "{name}" ({said}): '
                f"as a superuser, run `{EXTENSION} {extension}` in that database, then start again"
            )
        return (
            f'role "{role}" may not change the schema of database "{name}" ({said}): as a superuser, run '
            f'`ALTER DATABASE "{name}" OWNER TO "{role}"`, then start again'
        )
    if isinstance(error.orig, NOT_INSTALLED) and statement.startswith(EXTENSION):
        return (
            f"PostgreSQL has no extension {extension} ({said}): install its contrib modules (package "
            "postgresql-contrib), then start again"
        )
    return None


def _login(connection: Connection) -> tuple[str, str]:
    """The role and the database of a connection."""
    info = connection.connection.dbapi_connection.info  # type: ignore[union-attr]  # psycopg2's
    return info.user, info.dbname


def require_current(database: Database) -> None:
    """Raise ConfigurationError if a migration is missing. A schema newer than this code is fine."""
    missing = _pending(database)
    if missing:
        raise ConfigurationError(
            f"the database is missing the migrations {', '.join(missing)}: run `alembic upgrade head` first"
        )


def _pending(database: Database) -> Sequence[str]:
    with database.connection() as connection:
        return missing(connection)


def missing(connection: Connection) -> Sequence[str]:
    """The revisions that this code has and the database lacks, newest first. Those of a newer release do not count."""
    current, revisions = MigrationContext.configure(connection).get_current_revision(), _revisions()
    if current is not None and current not in revisions:
        return []
    return revisions[: revisions.index(current)] if current else revisions


@cache
def _revisions() -> Sequence[str]:
    """All that this code has, newest first. Reading them runs their files."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    return [script.revision for script in scripts.walk_revisions()]
