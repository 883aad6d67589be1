"""Which PostgreSQL keeps the data."""

import os
from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.core.settings.section import Section

# PostgreSQL's documentation, section 34.19.3: without a server that offers TLS, or with somebody in between, these send
# everything in plain text. libpq's default is prefer.
PLAIN_SSL_MODES = ("disable", "allow", "prefer")


class DatabaseSettings(Section):
    """The database, and how the service connects to it."""

    database_url: SecretStr | None = None
    database_pool_size: Annotated[int, Field(ge=2, le=100)] = 10
    database_trace_comments: bool = True
    migrate_on_start: bool | None = None
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None  # None keeps all

    def problems(self) -> list[str]:
        if self.database_url is not None and not _is_postgresql(self.database_url.get_secret_value()):
            return ["DATABASE_URL must look like postgresql://user:password@127.0.0.1:5432/incidents"]
        return []

    def production_problems(self) -> list[str]:
        if self.database_url is None:
            return ["DATABASE_URL is missing: the embedded database is for development only"]
        return []

    def may_be_read_on_the_way(self) -> bool:
        """True if the database is on another machine and the connection to it need not be encrypted."""
        if self.database_url is None:
            return False
        url = make_url(self.database_url.get_secret_value())
        mode = _parameter(url, "sslmode") or os.environ.get("PGSSLMODE") or "prefer"
        hosts = [url.host, *_parameter(url, "host").split(",")]
        named = [host for host in hosts if host] or [os.environ.get("PGHOST", "")]
        return mode in PLAIN_SSL_MODES and not all(map(_is_local, named))


def _parameter(url: URL, name: str) -> str:
    """The value of a URL's parameter; of several, all with commas, as libpq takes hosts."""
    value = url.query.get(name, "")
    return value if isinstance(value, str) else ",".join(value)


def _is_local(host: str) -> bool:
    """True for a socket in the file system and for a loopback address."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host.strip("[]")
    if not name or name == "localhost" or name.startswith(("/", "@")):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_postgresql(url: str) -> bool:
    """True if psycopg2 accepts this URL."""
    try:
        return make_url(url).drivername in ("postgres", "postgresql", "postgresql+psycopg2")
    except (ArgumentError, ValueError):
        return False
