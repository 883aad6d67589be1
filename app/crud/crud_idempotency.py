"""Stored answers for repeated requests."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import IdempotencyKey


class CRUDIdempotencyKey(CRUDBase[IdempotencyKey]):
    def claim(
        self, session: Session, *, user_id: int, route: str, key: str, request_hash: str, at: datetime
    ) -> IdempotencyKey:
        """The row of this key, new or existing. A second request waits here until the first commits."""
        new = {"user_id": user_id, "route": route, "key": key, "request_hash": request_hash, "created_at": at}
        # Updates the row to its own value, so that it comes back locked and cannot be deleted meanwhile.
        upsert = (
            insert(IdempotencyKey)
            .values(**new)
            .on_conflict_do_update(index_elements=["user_id", "route", "key"], set_={"key": key})
        )
        return session.scalars(upsert.returning(IdempotencyKey), execution_options={"populate_existing": True}).one()

    def renew(self, session: Session, row: IdempotencyKey, *, request_hash: str, at: datetime) -> None:
        """Reuse a key whose answer has expired."""
        row.request_hash, row.created_at, row.answer = request_hash, at, None
        session.flush()

    def delete_older(self, session: Session, *, before: datetime) -> int:
        return affected(session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < before)))


crud_idempotency_key = CRUDIdempotencyKey(IdempotencyKey)
