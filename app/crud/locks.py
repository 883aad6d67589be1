"""How long a transaction waits for locks."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def wait_briefly(session: Session, seconds: float = 0.2) -> None:
    """Wait at most this long for locks until this transaction or savepoint ends."""
    session.execute(text(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}"))
