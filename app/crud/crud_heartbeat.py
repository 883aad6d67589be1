"""The workers and their heartbeats."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import WorkerHeartbeat

ALIVE_WITHIN = timedelta(seconds=30)


class CRUDHeartbeat(CRUDBase[WorkerHeartbeat]):
    def put(self, session: Session, *, id_: UUID, **values: Any) -> None:
        statement = insert(WorkerHeartbeat).values(id=id_, **values)
        session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    def remove(self, session: Session, id_: UUID) -> None:
        session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.id == id_))

    def all(self, session: Session) -> Sequence[WorkerHeartbeat]:
        return session.scalars(select(WorkerHeartbeat).order_by(WorkerHeartbeat.started_at)).all()

    def alive(self, session: Session, *, since: datetime) -> Sequence[WorkerHeartbeat]:
        """The workers seen since then."""
        return session.scalars(select(WorkerHeartbeat).where(WorkerHeartbeat.last_seen_at > since)).all()

    def set_up(self, session: Session, *, since: datetime) -> set[frozenset[str]]:
        """The channels that are set up at the workers seen since then, worker by worker."""
        found = session.scalars(select(WorkerHeartbeat.set_up).where(WorkerHeartbeat.last_seen_at > since))
        return {frozenset(channels) for channels in found}

    def served(self, session: Session, own: Collection[str], *, at: datetime) -> set[str]:
        """The channels that this worker, whose `own` are given, or another worker that is alive can send by."""
        return set(own).union(*self.set_up(session, since=at - ALIVE_WITHIN))

    def forget(self, session: Session, *, before: datetime) -> int:
        return affected(session.execute(delete(WorkerHeartbeat).where(WorkerHeartbeat.last_seen_at < before)))


crud_heartbeat = CRUDHeartbeat(WorkerHeartbeat)
