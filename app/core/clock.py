"""The process's clock. Timers use the database's (`app.crud.clock.now`); this one is for what leaves the service."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The time of this process, aware and in UTC."""
    return datetime.now(UTC)
