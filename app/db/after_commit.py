"""Does something once a transaction is committed, such as counting. What is rolled back, it never does.

    after_commit(session, lambda: metrics.LEASES_RECOVERED.add())

What is asked for within a savepoint is forgotten if the savepoint is rolled back.
"""

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

log = structlog.get_logger()

Job = Callable[[], None]
WAITING = "after_commit"  # the key in `session.info` for pairs of a transaction or savepoint and its job


class CommitSession(Session):
    """A session that does, after the commit, what it was asked to."""


def after_commit(session: Session, job: Job) -> None:
    """Do this as soon as the session's transaction is committed, in the thread that commits it."""
    session.info.setdefault(WAITING, []).append((_innermost(session), job))


def _innermost(session: Session) -> SessionTransaction:
    return session.get_nested_transaction() or session.get_transaction() or session.begin()


@event.listens_for(CommitSession, "after_commit")
def _committed(session: Session) -> None:
    waiting: list[tuple[Any, Job]] = session.info.get(WAITING) or []
    if not waiting:
        return
    savepoint = session.get_nested_transaction()
    if savepoint is None:
        session.info[WAITING] = []
        for _, job in waiting:
            _do(job)
        return
    outer = savepoint.parent
    session.info[WAITING] = [(outer if at is savepoint else at, job) for at, job in waiting]


@event.listens_for(CommitSession, "after_transaction_end")
def _ended(session: Session, transaction: SessionTransaction) -> None:
    """What still waits for a transaction that has ended was rolled back."""
    waiting: list[tuple[Any, Job]] | None = session.info.get(WAITING)
    if waiting:
        session.info[WAITING] = [(at, job) for at, job in waiting if at is not transaction]


def _do(job: Job) -> None:
    """The commit has happened: whatever goes wrong now must not look like a failed commit."""
    try:
        job()
    except Exception:
        log.exception("after_commit_failed")
