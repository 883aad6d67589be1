"""Login sessions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.crud.clock import NOW_COLUMN
from app.crud.pagination import Page, Slice, columns_of
from app.models import AuthSession, RefreshToken

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def place_of(began_at: datetime) -> int:
    """The place of a session in its owner's list, which a slice can continue after."""
    return (began_at - EPOCH) // MICROSECOND


class CRUDAuthSession(CRUDBase[AuthSession]):
    def revoke(self, session: Session, session_id: UUID, *, at: datetime) -> None:
        session.execute(
            update(AuthSession)
            .where(AuthSession.id == session_id, AuthSession.revoked_at.is_(None))
            .values(revoked_at=at)
        )

    def slice_of(self, session: Session, user_id: int, part: Slice) -> Page[Row[Any]]:
        """The live sessions of a person, newest first. `part` continues after the `place_of` a session."""
        query = _live().where(AuthSession.user_id == user_id)
        if part.after is not None:
            query = query.where(AuthSession.created_at < EPOCH + part.after * MICROSECOND)
        return Page(session.execute(query.offset(part.skip).limit(part.limit)))

    def live_of(self, session: Session, user_id: int, session_id: UUID) -> Row[Any] | None:
        """A live session, if it is this person's."""
        query = _live().where(AuthSession.user_id == user_id, AuthSession.id == session_id)
        return session.execute(query).one_or_none()

    def revoke_all_of(self, session: Session, user_id: int, *, at: datetime) -> None:
        session.execute(
            update(AuthSession)
            .where(AuthSession.user_id == user_id, AuthSession.revoked_at.is_(None))
            .values(revoked_at=at)
        )

    def delete_dead(self, session: Session, *, before: datetime) -> int:
        """Delete the sessions none of whose refresh tokens is younger, and with them their tokens."""
        young = select(RefreshToken.id).where(
            RefreshToken.session_id == AuthSession.id, RefreshToken.expires_at >= before
        )
        result = session.execute(delete(AuthSession).where(AuthSession.created_at < before, ~young.exists()))
        return affected(result)


def _live() -> Select[Any]:
    """Sessions that are not revoked and can be refreshed, with when they last were and until when they can be."""
    last_used_at = func.max(RefreshToken.created_at).label("last_used_at")
    expires_at = func.max(RefreshToken.expires_at)
    query = select(*columns_of(AuthSession), last_used_at, expires_at.label("expires_at"))
    alive = query.join(RefreshToken, RefreshToken.session_id == AuthSession.id).where(AuthSession.revoked_at.is_(None))
    grouped = alive.group_by(AuthSession.id).having(expires_at > NOW_COLUMN)
    return grouped.order_by(AuthSession.created_at.desc())


crud_auth_session = CRUDAuthSession(AuthSession)
