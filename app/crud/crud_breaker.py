"""Open circuit breakers, and their resets."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import BreakerReset, CircuitBreaker

RESETS = 0x4E5E75


class CRUDBreaker(CRUDBase[CircuitBreaker]):
    def put_all(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Insert open breakers, or overwrite what was stored of them before, with one statement."""
        statement = insert(CircuitBreaker).values(list(rows))
        values = {name: statement.excluded[name] for name in rows[0] if name not in {"channel", "provider"}}
        session.execute(statement.on_conflict_do_update(index_elements=["channel", "provider"], set_=values))

    def remove_all(self, session: Session, keys: Collection[tuple[str, str]]) -> None:
        """Delete breakers by channel and provider."""
        of = tuple_(CircuitBreaker.channel, CircuitBreaker.provider)
        session.execute(delete(CircuitBreaker).where(of.in_(sorted(keys))))

    def remove_of(self, session: Session, channel: str, provider: str | None) -> None:
        """Delete the breakers of a channel, or that of one provider."""
        mine = CircuitBreaker.channel == channel
        if provider is not None:
            mine &= CircuitBreaker.provider == provider
        session.execute(delete(CircuitBreaker).where(mine))

    def said_since(self, session: Session, since: datetime) -> Sequence[CircuitBreaker]:
        """The breakers that a worker has stored as open since then."""
        order = CircuitBreaker.channel, CircuitBreaker.provider
        return session.scalars(select(CircuitBreaker).where(CircuitBreaker.said_at > since).order_by(*order)).all()

    def forget(self, session: Session, *, before: datetime) -> int:
        return affected(session.execute(delete(CircuitBreaker).where(CircuitBreaker.said_at <= before)))


class CRUDBreakerReset(CRUDBase[BreakerReset]):
    def record(self, session: Session, channel: str, provider: str | None, *, at: datetime) -> None:
        """Add a reset. Waits for others to be committed: whoever has seen a reset has seen all with smaller ids."""
        session.execute(select(func.pg_advisory_xact_lock(RESETS)))
        self.add(session, BreakerReset(channel=channel, provider=provider, created_at=at))

    def after(self, session: Session, id_: int) -> Sequence[BreakerReset]:
        """The resets after one, in their order."""
        return session.scalars(select(BreakerReset).where(BreakerReset.id > id_).order_by(BreakerReset.id)).all()

    def forget(self, session: Session, *, before: datetime) -> int:
        return affected(session.execute(delete(BreakerReset).where(BreakerReset.created_at < before)))


crud_breaker = CRUDBreaker(CircuitBreaker)
crud_breaker_reset = CRUDBreakerReset(BreakerReset)
