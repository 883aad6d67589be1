"""The level of the log that an administrator has set."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.vocabulary import LogLevel
from app.db.base_class import Base, words

ONLY = 1


class SetLogLevel(Base):
    """The level that all processes follow instead of `LOG_LEVEL`: one row at most.

    Without `until` it holds until it is changed.
    """

    __tablename__ = "set_log_level"
    __table_args__ = (CheckConstraint(f"id = {ONLY}", name="is_only"), Index(None, "set_by"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=ONLY, server_default=text(f"{ONLY}"))
    level: Mapped[LogLevel] = mapped_column(words(LogLevel, length=20))
    until: Mapped[datetime | None]
    set_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    set_at: Mapped[datetime]
