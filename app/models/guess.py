"""How often secrets were guessed, and from where their owners log in. Both are kept as fingerprints only."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base


class GuessCount(Base):
    """How often something was tried: by whom and on which account only the key's maker knows.

    Until `blocked_until` nobody may try. At `forgotten_at` the count begins again.
    """

    __tablename__ = "guess_counts"
    __table_args__ = (Index(None, "forgotten_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    guesses: Mapped[int]
    blocked_until: Mapped[datetime]
    forgotten_at: Mapped[datetime]


class KnownSender(Base):
    """A sender from which an account's owner logged in, as one fingerprint of both."""

    __tablename__ = "known_senders"
    __table_args__ = (Index(None, "forgotten_at"),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    forgotten_at: Mapped[datetime]
