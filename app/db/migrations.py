"""Migrates the schema, or reports that it is behind."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from alembic import command
from app.core.errors import ConfigurationError
from app.db.session import Database

ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"


def upgrade(database: Database) -> None:
    """Run every pending migration. Any number of processes may call this at once."""
    if not _pending(database):
        return
    config = Config(ALEMBIC_INI)
    with database.connection() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(database: Database) -> None:
    """Raise ConfigurationError if a migration is missing. A schema newer than this code is fine."""
    missing = _pending(database)
    if missing:
        raise ConfigurationError(
            f"the database lacks the migrations {', '.join(missing)}: run `alembic upgrade head` first"
        )


def _pending(database: Database) -> list[str]:
    """The revisions that this code has and the database lacks. Revisions of a newer release do not count."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    with database.connection() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    revisions = [script.revision for script in scripts.walk_revisions()]  # newest first
    if current is not None and current not in revisions:
        return []
    return revisions[: revisions.index(current)] if current else revisions
