"""Circuit breakers of providers, and their resets."""

from datetime import datetime

from sqlalchemy import String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base, Created


class CircuitBreaker(Base):
    """An open circuit breaker, as a worker stored it last, at `said_at`.

    `followed_reset` is the last reset that this worker had followed: a later one voids the row.
    """

    __tablename__ = "circuit_breakers"

    channel: Mapped[str] = mapped_column(String(50), primary_key=True)
    provider: Mapped[str] = mapped_column(String(255), primary_key=True)
    pauses: Mapped[int]
    failing_messages: Mapped[int]
    last_error: Mapped[str | None] = mapped_column(String(200))
    open_since: Mapped[datetime]
    next_probe_at: Mapped[datetime]
    said_at: Mapped[datetime]
    followed_reset: Mapped[int] = mapped_column(server_default=text("0"))


class BreakerReset(Created, Base):
    """An administrator closed the breakers of a channel, or that of one provider. Each worker follows it once."""

    __tablename__ = "breaker_resets"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(50))
    provider: Mapped[str | None] = mapped_column(String(255))
