"""Records backups, so that the metrics can say how old the last one is."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from app.crud import crud_backup
from app.crud.clock import now
from app.models import Backup

log = structlog.get_logger()

KEPT = timedelta(days=400)


def record_backup(session: Session) -> Backup:
    """Record that a backup has just been completed. Forgets those of over a year ago."""
    at = now(session)
    crud_backup.forget(session, before=at - KEPT)
    log.info("backup_recorded")
    return crud_backup.add(session, Backup(finished_at=at))
