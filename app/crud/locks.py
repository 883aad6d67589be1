"""How long a transaction waits for what another one has locked."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def wait_briefly(session: Session, seconds: float = 0.2) -> None:
    """From now on wait so long at most for what others hold, until this transaction or savepoint ends."""
    session.execute(text(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}"))
