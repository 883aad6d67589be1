"""How long a transaction waits for locks, and how long its statements may run."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def wait_briefly(session: Session, seconds: float = 0.2) -> None:
    """Wait at most this long for locks until this transaction or savepoint ends."""
    session.execute(text(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}"))


def limit_statements(session: Session, seconds: float) -> None:
    """Let each statement run at most this long until this transaction ends, or the savepoint is rolled back."""
    session.execute(text(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}"))
