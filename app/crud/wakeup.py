"""Wakes the workers by NOTIFY, when the transaction that has work for them is committed."""

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, SessionTransaction

from app.db.session import WAKE_CHANNEL


def wake(session: Session, job: str) -> None:
    """Wake the workers' job when this transaction is committed, once for all that it wrote."""
    woken: set[str] = session.info.setdefault("woken", set())
    if job not in woken:
        woken.add(job)
        session.execute(select(func.pg_notify(WAKE_CHANNEL, job)))


@event.listens_for(Session, "after_soft_rollback")
def _forget_woken(session: Session, _transaction: SessionTransaction) -> None:
    """A rollback, also that of a savepoint, takes back what was notified within."""
    session.info.pop("woken", None)
