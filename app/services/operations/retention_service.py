"""Deletes incidents and messages that are older than they are kept."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.crud import crud_retention
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.services import audit_service

log = structlog.get_logger()

BATCH = 200  # incidents; each may have a record of hundreds of rows


def delete_expired(session: Session, days: int) -> int:
    """Delete a batch of incidents that were resolved so many days ago, and of messages that ended then.

    Returns how many rows, without those that belong to them. 0 when nothing is left.
    """
    wait_briefly(session)
    before = now(session) - timedelta(days=days)
    incidents = crud_retention.delete_incidents(session, before=before, limit=BATCH)
    messages = crud_retention.delete_messages(session, before=before, limit=BATCH)
    if incidents:
        changes = {"incidents": (incidents, 0), "resolved_before": (None, before)}
        audit_service.record(session, AuditAction.INCIDENT_EXPIRED, "incident", None, changes=changes)
    if incidents or messages:
        log.info("retention_applied", incidents=incidents, messages=messages, before=before.isoformat())
    return incidents + messages
