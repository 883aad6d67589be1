"""Answers kept for clients that repeat themselves."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import IdempotencyKey


class CRUDIdempotencyKey(CRUDBase[IdempotencyKey]):
    def claim(
        self, session: Session, *, user_id: int, route: str, key: str, request_hash: str, at: datetime
    ) -> IdempotencyKey:
        """The row of this key, made now or before. A second request waits here for the first to commit."""
        new = {"user_id": user_id, "route": route, "key": key, "request_hash": request_hash, "created_at": at}
        session.execute(insert(IdempotencyKey).values(**new).on_conflict_do_nothing())
        query = select(IdempotencyKey).filter_by(user_id=user_id, route=route, key=key)
        return session.scalars(query.with_for_update()).one()

    def renew(self, session: Session, row: IdempotencyKey, *, request_hash: str, at: datetime) -> None:
        """Begin anew with a key whose answer no longer counts."""
        row.request_hash, row.created_at, row.answer = request_hash, at, None
        session.flush()

    def delete_older(self, session: Session, *, before: datetime) -> int:
        return affected(session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < before)))


crud_idempotency_key = CRUDIdempotencyKey(IdempotencyKey)
