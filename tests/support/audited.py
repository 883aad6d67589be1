"""Reads the audit log as tests need it, and tampers with it as only a superuser can."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.db.session import Database
from app.services import audit_service
from app.services.operations import audit_chain_service
from app.services.operations.audit_chain import Fault, Head, Walked
from tests.support.api import Api

TABLES = ("audit_entries", "audit_values", "audit_links", "audit_checkpoints", "recorded_settings")


def logged(api: Api, **wanted: Any) -> list[dict[str, Any]]:
    """The audit log as an administrator reads it, newest first."""
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    found: list[dict[str, Any]] = api.call(f"GET /audit?{query}")
    return found


def write(database: Database, count: int, *, action: str = AuditAction.USER_UPDATED) -> None:
    """Commit so many entries, each in a transaction of its own."""
    for number in range(1, count + 1):
        with database.transaction() as session:
            changes = {"email": (None, f"{number}@example.com")}
            audit_service.record(session, action, "user", number, changes=changes, actor_id=number)


def verify(database: Database, known: Head | None = None) -> Walked | Fault:
    """What the check of the chain finds."""
    with database.transaction() as session:
        return audit_chain_service.verify(session, known)


def whole(database: Database) -> Walked:
    """Where the chain ends, which must be whole."""
    found = verify(database)
    assert isinstance(found, Walked), found
    return found


@contextmanager
def without_guards(database: Database) -> Iterator[Session]:
    """A transaction of somebody who has switched off the triggers of the log."""
    tables = ("audit_entries", "audit_values", "audit_links", "audit_checkpoints")
    with database.transaction() as session:
        for table in tables:
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield session
        session.flush()
        for table in tables:
            session.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def tamper(database: Database, *statements: str) -> None:
    """Do what the triggers would refuse."""
    with without_guards(database) as session:
        for statement in statements:
            session.execute(text(statement))
