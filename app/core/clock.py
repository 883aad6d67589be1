"""The process's clock. Timers use the database's (`app.crud.clock.now`); what is told to the outside uses this one."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The time of this process, aware and in UTC."""
    return datetime.now(UTC)
