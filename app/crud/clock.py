"""The time of a transaction, from the database's clock."""

from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, literal_column, text
from sqlalchemy.orm import Session

# Tests and rehearsals move the service's time with `SET incidents.clock_offset = '5 minutes'`.
CLOCK = "now() + coalesce(nullif(current_setting('incidents.clock_offset', true), ''), '0')::interval"
NOW = text(f"SELECT {CLOCK}")
NOW_COLUMN: ColumnElement[datetime] = literal_column(CLOCK, DateTime(timezone=True))


def now(session: Session) -> datetime:
    """The time of this transaction, from the database's clock: the same for every process."""
    moment: datetime = session.execute(NOW).scalar_one()
    return moment
