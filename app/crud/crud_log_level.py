"""The level of the log that an administrator has set."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Float, cast, delete, func, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.core.vocabulary import LogLevel
from app.crud.base import CRUDBase
from app.crud.clock import NOW_COLUMN
from app.db.asking import ask
from app.db.session import Database
from app.models import SetLogLevel
from app.models.log_level import ONLY

HOLDS = or_(SetLogLevel.until.is_(None), SetLogLevel.until > NOW_COLUMN)
LEFT = cast(func.extract("epoch", SetLogLevel.until) - func.extract("epoch", NOW_COLUMN), Float)
FOLLOWED = select(SetLogLevel.level, SetLogLevel.until, LEFT, SetLogLevel.set_by).where(HOLDS)
FOLLOWED_TEXT = str(FOLLOWED.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's


class Followed(NamedTuple):
    """What a process must know: the level, until when, how long that is by the database's clock, and whose it is."""

    level: LogLevel
    until: datetime | None
    seconds_left: float | None
    set_by: int | None


class CRUDLogLevel(CRUDBase[SetLogLevel]):
    def holding(self, session: Session) -> SetLogLevel | None:
        """The level that is set now."""
        return session.scalar(select(SetLogLevel).where(HOLDS))

    def followed(self, database: Database) -> Followed | None:
        """The level that is set now, cheaply: every process asks all the time."""
        row = ask(database, FOLLOWED_TEXT)
        return None if row is None else Followed(LogLevel(row[0]), *row[1:])

    def put(self, session: Session, *, default: LogLevel, at: datetime) -> SetLogLevel:
        """The row, locked. If missing, it is created with a level whose time is over."""
        new = insert(SetLogLevel).values(id=ONLY, level=default, until=at, set_at=at)
        # One statement, so that nobody deletes the row between two.
        locked = new.on_conflict_do_update(index_elements=["id"], set_={"id": ONLY}).returning(SetLogLevel)
        return session.scalars(locked, execution_options={"populate_existing": True}).one()

    def remove(self, session: Session) -> SetLogLevel | None:
        """Delete the row. Returns what it was, if there was one."""
        return session.scalar(delete(SetLogLevel).returning(SetLogLevel))


crud_log_level = CRUDLogLevel(SetLogLevel)
