"""Status updates for people who were paged."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.vocabulary import UpdateEvent
from app.db.base_class import Base, Created, words


class StatusUpdate(Created, Base):
    """A status update (acknowledged or resolved) for one person on the channel that paged them.

    Written in the transaction of the move. It waits here and not in the outbox, so that it never delays a page. From
    `due_at` on it becomes a message, alone or with others. `ended_at` is set once it did, or is no longer true.
    """

    __tablename__ = "status_updates"
    __table_args__ = (
        UniqueConstraint("incident_id", "cycle", "recipient", "channel", "event"),
        Index(None, "user_id"),
        Index("ix_status_updates_due", "channel", "due_at", postgresql_where=text("ended_at IS NULL")),
        Index("ix_status_updates_open_for", "recipient", "channel", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    cycle: Mapped[int]
    event: Mapped[UpdateEvent] = mapped_column(words(UpdateEvent, length=20))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(String(320))
    channel: Mapped[str] = mapped_column(String(50))
    address: Mapped[str] = mapped_column(String(2048))
    said: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
