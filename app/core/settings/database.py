"""Which PostgreSQL keeps the data."""

from typing import Annotated

from pydantic import Field, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.core.settings.section import Section


class DatabaseSettings(Section):
    """The database, and how the service connects to it."""

    database_url: SecretStr | None = None
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = 10
    migrate_on_start: bool | None = None

    def problems(self) -> list[str]:
        if self.database_url is not None and not _is_postgresql(self.database_url.get_secret_value()):
            return ["DATABASE_URL must look like postgresql://user:password@127.0.0.1:5432/incidents"]
        return []

    def production_problems(self) -> list[str]:
        if self.database_url is None:
            return ["DATABASE_URL is missing: the embedded database is for development only"]
        return []


def _is_postgresql(url: str) -> bool:
    """True if psycopg2 accepts this URL."""
    try:
        return make_url(url).drivername in ("postgres", "postgresql", "postgresql+psycopg2")
    except (ArgumentError, ValueError):
        return False
