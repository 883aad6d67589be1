"""The record of backups."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import Backup


class CRUDBackup(CRUDBase[Backup]):
    def last(self, session: Session) -> datetime | None:
        """When the last backup was completed."""
        return session.scalar(select(Backup.finished_at).order_by(Backup.finished_at.desc()).limit(1))

    def forget(self, session: Session, *, before: datetime) -> int:
        """Delete the records from before a time."""
        return affected(session.execute(delete(Backup).where(Backup.finished_at < before)))


crud_backup = CRUDBackup(Backup)
