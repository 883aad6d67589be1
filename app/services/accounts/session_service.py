"""People's login sessions: lists them, and ends one of them."""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.crud import crud_auth_session
from app.crud.clock import now
from app.crud.pagination import Page, Slice
from app.services import audit_service

log = structlog.get_logger()


def list_sessions(session: Session, user_id: int, part: Slice) -> Page[Row[Any]]:
    """The sessions that can still be used, newest first."""
    return crud_auth_session.slice_of(session, user_id, part)


def revoke(session: Session, user_id: int, session_id: UUID) -> Row[Any]:
    """End one session, access tokens included. Returns it as it was. Raises NotFound, also for somebody else's."""
    found = crud_auth_session.live_of(session, user_id, session_id)
    if found is None:
        raise NotFound(f"There is no session {session_id}.")
    at = now(session)
    crud_auth_session.revoke(session, session_id, at=at)
    changes = {"revoked_at": (None, at.isoformat())}
    audit_service.record(session, "session.revoked", "session", str(session_id), changes=changes)
    log.info("session_revoked", user_id=user_id, session_id=str(session_id))
    return found
