"""Sets the level of the log for all processes, for a while. Each process follows by itself."""

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.vocabulary import LogLevel
from app.crud import crud_log_level
from app.crud.clock import now
from app.crud.crud_log_level import Followed
from app.db.session import Database
from app.models import SetLogLevel, User
from app.schemas.log_level import LogLevelRead, LogLevelUpdate
from app.services import audit_service

SETTING = ("settings", "LOG_LEVEL")  # the object in the audit log


def in_force(session: Session, configured: LogLevel) -> LogLevelRead:
    """The level in force: the one that is set, or else the configured one."""
    return _read(configured, crud_log_level.holding(session))


def followed(database: Database) -> Followed | None:
    """What a process must know to follow the level that is set; None if none is."""
    return crud_log_level.followed(database)


def put(session: Session, wanted: LogLevelUpdate, configured: LogLevel, *, by: User) -> LogLevelRead:
    """Set the level, until its minutes are over."""
    at = now(session)
    row = crud_log_level.put(session, default=configured, at=at)
    before = _facts(configured, row if row.until is None or row.until > at else None)
    row.level = wanted.level
    row.until = None if wanted.minutes is None else at + timedelta(minutes=wanted.minutes)
    row.set_by, row.set_at = by.id, at
    session.flush()
    _record(session, AuditAction.LOG_LEVEL_SET, before, _facts(configured, row))
    return _read(configured, row)


def reset(session: Session, configured: LogLevel) -> LogLevelRead:
    """Go back to the configured level."""
    at = now(session)
    removed = crud_log_level.remove(session)
    if removed is not None and (removed.until is None or removed.until > at):
        _record(session, AuditAction.LOG_LEVEL_RESET, _facts(configured, removed), _facts(configured, None))
    return _read(configured, None)


def _record(session: Session, action: AuditAction, before: dict[str, Any], after: dict[str, Any]) -> None:
    changes = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    if changes:
        audit_service.record(session, action, *SETTING, changes=changes)


def _facts(configured: LogLevel, row: SetLogLevel | None) -> dict[str, Any]:
    return {"level": configured, "until": None} if row is None else {"level": row.level, "until": row.until}


def _read(configured: LogLevel, row: SetLogLevel | None) -> LogLevelRead:
    return LogLevelRead(
        **_facts(configured, row),
        configured_level=configured,
        set_by=row.set_by if row else None,
        set_at=row.set_at if row else None,
    )
