"""When the database was backed up."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base


class Backup(Base):
    """A backup that was completed, recorded by whoever made it: `INSERT INTO backups DEFAULT VALUES`."""

    __tablename__ = "backups"
    __table_args__ = (Index(None, "finished_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
