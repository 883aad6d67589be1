"""Wakes the workers by NOTIFY when the transaction commits."""

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, SessionTransaction

from app.db.session import WAKE_CHANNEL


def wake(session: Session, job: str) -> None:
    """Wake a job of the workers when this transaction commits; once for each transaction."""
    woken: set[str] = session.info.setdefault("woken", set())
    if job not in woken:
        woken.add(job)
        session.execute(select(func.pg_notify(WAKE_CHANNEL, job)))


@event.listens_for(Session, "after_soft_rollback")
def _forget_woken(session: Session, _transaction: SessionTransaction) -> None:
    """A rollback, of a savepoint too, discards its notifications."""
    session.info.pop("woken", None)
