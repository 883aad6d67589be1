"""Channel preferences and verification codes."""

from datetime import datetime, time
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base, Created, Timestamps


class NotificationPreference(Timestamps, Base):
    """One person's settings for one channel. Without a row, the channel's defaults apply.

    `position` orders a person's channels; those without one come last. Pages of a severity in `quiet_severities` do
    not use this channel; with quiet hours, only during those. An address is verified if it equals the verified one.
    If `status_updates` is null, the channel's default applies.
    """

    __tablename__ = "notification_preferences"
    __table_args__ = (UniqueConstraint("user_id", "channel"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(50))
    is_enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    address: Mapped[str | None] = mapped_column(String(2048))
    position: Mapped[int | None]
    quiet_severities: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    time_zone: Mapped[str | None] = mapped_column(String(64))
    status_updates: Mapped[bool | None]
    verified_address: Mapped[str | None] = mapped_column(String(2048))
    disabled_reason: Mapped[str | None] = mapped_column(Text)


class AddressVerification(Created, Base):
    """A code that was sent to verify an address. One for each channel of a user."""

    __tablename__ = "address_verifications"
    __table_args__ = (UniqueConstraint("user_id", "channel"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(50))
    address: Mapped[str] = mapped_column(String(2048))
    code_hash: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    sent: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    expires_at: Mapped[datetime]
