"""How a person wants to be reached."""

from sqlalchemy import ForeignKey, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base, Timestamps


class NotificationPreference(Timestamps, Base):
    """One person's choice for one channel. Without a row the channel's default holds."""

    __tablename__ = "notification_preferences"
    __table_args__ = (UniqueConstraint("user_id", "channel"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(50))
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    address: Mapped[str | None] = mapped_column(String(2048))
