"""The outbox: messages, and every attempt to send them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core import tracing
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, EndReason, MessageKind, NotificationKind
from app.db.base_class import Base, Created, Timestamps, words

REMARKABLE = "('pending', 'retry', 'dead', 'cancelled')"  # rare among the messages of years
UNSENT = "status = 'pending' AND bundle_id IS NULL AND fallback_at IS NOT NULL"
BUNDLED = "status = 'pending' AND bundle_id IS NOT NULL"
UNDER_WAY = "status IN ('pending', 'retry', 'sending')"


class Notification(Created, Base):
    """One message to one recipient by one channel, written in the transaction that causes it.

    A throttled page waits until its recipient's token bucket releases it, alone or in a bundle. At `fallback_at`
    the person's next channel is tried as well.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("event_id", "recipient", "channel", "kind"),
        UniqueConstraint("idempotency_key"),
        Index(None, "incident_id", "id"),
        Index(None, "user_id", "id"),
        Index(None, "fallback_of", postgresql_where=text("fallback_of IS NOT NULL")),
        Index(None, "bundle_id", postgresql_where=text("bundle_id IS NOT NULL")),
        Index(None, "channel", "id"),
        Index("ix_notifications_of_no_incident", "ended_at", postgresql_where=text("incident_id IS NULL")),
        Index("ix_notifications_listed", "status", "id", "channel", postgresql_where=text(f"status IN {REMARKABLE}")),
        Index("ix_notifications_unsent", "incident_id", "cycle", postgresql_where=text(UNSENT)),
        Index("ix_notifications_bundled", "bundle_id", postgresql_where=text(BUNDLED)),
        Index("ix_notifications_notices", "channel", postgresql_where=text(f"kind = 'notice' AND {UNDER_WAY}")),
        Index("ix_notifications_due", "next_attempt_at", postgresql_where=text("status IN ('pending', 'retry')")),
        Index(
            "ix_notifications_due_by_channel",
            "channel",
            "next_attempt_at",
            postgresql_where=text("status IN ('pending', 'retry') AND NOT is_held"),
        ),
        Index("ix_notifications_held", "channel", "next_attempt_at", postgresql_where=text("is_held")),
        Index("ix_notifications_held_for", "recipient", "channel", postgresql_where=text("is_held")),
        Index("ix_notifications_fallback", "fallback_at", postgresql_where=text("fallback_at IS NOT NULL")),
        Index("ix_notifications_lease", "lease_until", postgresql_where=text("status = 'sending'")),
        CheckConstraint(
            "(status = 'sending') = (lease_token IS NOT NULL AND lease_until IS NOT NULL)", name="sending_is_leased"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[int | None] = mapped_column(ForeignKey("escalation_events.id", ondelete="CASCADE"))
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    cycle: Mapped[int | None]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(String(320))
    channel: Mapped[str] = mapped_column(String(50))
    address: Mapped[str] = mapped_column(String(2048))
    kind: Mapped[NotificationKind] = mapped_column(words(NotificationKind, length=50))
    is_exempt: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    idempotency_key: Mapped[UUID] = mapped_column(default=uuid4, server_default=text("gen_random_uuid()"))
    status: Mapped[DeliveryStatus] = mapped_column(
        words(DeliveryStatus, length=20), default=DeliveryStatus.PENDING, server_default="pending"
    )
    is_throttled: Mapped[bool] = mapped_column("is_held", default=False, server_default=text("false"))
    attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_attempt_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[UUID | None]
    fallback_of: Mapped[int | None] = mapped_column(ForeignKey("notifications.id", ondelete="CASCADE"))
    fallback_at: Mapped[datetime | None]
    bundle_id: Mapped[int | None] = mapped_column(ForeignKey("notifications.id", ondelete="SET NULL"))
    provider_id: Mapped[str | None] = mapped_column(String(255))
    last_error: Mapped[str | None] = mapped_column(Text)
    first_attempt_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    traceparent: Mapped[str | None] = mapped_column(String(tracing.LENGTH))
    end_reason: Mapped[EndReason | None] = mapped_column(words(EndReason, length=50))

    attempts: Mapped[list["NotificationAttempt"]] = relationship(
        lazy="raise", order_by="NotificationAttempt.id", passive_deletes=True
    )
    bundle: Mapped["Notification | None"] = relationship(
        lazy="raise", foreign_keys="Notification.bundle_id", remote_side="Notification.id", viewonly=True
    )

    @property
    def tries(self) -> list["NotificationAttempt"]:
        """The attempts to send it, alone and in a bundle."""
        return [*self.attempts, *(self.bundle.attempts if self.bundle else ())]


class NotificationAttempt(Base):
    """One attempt to send a notification. Insert-only."""

    __tablename__ = "notification_attempts"
    __table_args__ = (Index(None, "notification_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    outcome: Mapped[AttemptOutcome] = mapped_column(words(AttemptOutcome, length=20))
    status_code: Mapped[int | None]
    latency_ms: Mapped[int]
    error: Mapped[str | None] = mapped_column(Text)


class NotificationThrottle(Base):
    """The token bucket of one recipient on one channel."""

    __tablename__ = "notification_paces"

    recipient: Mapped[str] = mapped_column(String(320), primary_key=True)
    channel: Mapped[str] = mapped_column(String(50), primary_key=True)
    tokens: Mapped[float]
    refilled_at: Mapped[datetime]
    last_sent_at: Mapped[datetime | None]


class NotificationTemplate(Timestamps, Base):
    """An administrator's wording of one kind of message on one channel."""

    __tablename__ = "notification_templates"
    __table_args__ = (UniqueConstraint("channel", "event"), Index(None, "updated_by"))

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(50))
    event: Mapped[MessageKind] = mapped_column(words(MessageKind, length=50))
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    html: Mapped[str | None] = mapped_column(Text)
    updated_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
