"""The tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, String, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from benchmarks.naive.database import Base

Time = DateTime(timezone=True)


class User(Base):
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    hashed_password: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str | None] = mapped_column(String(255))
    phone_number: Mapped[str | None] = mapped_column(String(32))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    is_address_proved: Mapped[bool] = mapped_column(server_default=text("false"))
    pending_email: Mapped[str | None] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), server_default="responder")
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())

    @property
    def name(self) -> str:
        """What others see."""
        return self.full_name or self.email.partition("@")[0]


def _name(user: User | None) -> str | None:
    return user.name if user else None


class Incident(Base):
    """Something that is wrong."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index(
            "uq_incidents_alert",
            "source",
            "alert_id",
            unique=True,
            postgresql_where=text("status <> 'resolved'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(50), server_default="open", index=True)
    severity: Mapped[str] = mapped_column(String(20), index=True)
    service: Mapped[str] = mapped_column(String(100), index=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    source: Mapped[str] = mapped_column(String(50), server_default="api")
    alert_id: Mapped[str | None] = mapped_column(String(255))
    alert_count: Mapped[int] = mapped_column(server_default=text("0"))
    last_alert_at: Mapped[datetime | None] = mapped_column(Time)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now(), index=True)
    updated_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    acknowledged_at: Mapped[datetime | None] = mapped_column(Time)
    resolved_at: Mapped[datetime | None] = mapped_column(Time)
    snoozed_until: Mapped[datetime | None] = mapped_column(Time)

    creator: Mapped[User | None] = relationship(foreign_keys=[created_by])
    assignee: Mapped[User | None] = relationship(foreign_keys=[assigned_to])
    assignments: Mapped[list["Assignment"]] = relationship(order_by="Assignment.id")
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")
    timeline_events: Mapped[list["TimelineEvent"]] = relationship(order_by="TimelineEvent.id.desc()")
    escalations: Mapped[list["Escalation"]] = relationship()

    @property
    def next_escalation_at(self) -> datetime | None:
        """When the next step of any policy is due."""
        return min((one.next_run_at for one in self.escalations if one.next_run_at), default=None)

    @property
    def created_by_name(self) -> str | None:
        """Who opened it."""
        return _name(self.creator)

    @property
    def assigned_to_name(self) -> str | None:
        """Who owns it."""
        return _name(self.assignee)


class Assignment(Base):
    """Who works on an incident."""

    __tablename__ = "incident_assignments"

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str] = mapped_column(String(50))
    assigned_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())

    user: Mapped[User] = relationship()

    @property
    def user_name(self) -> str | None:
        """Who it is."""
        return _name(self.user)


class Comment(Base):
    """What somebody wrote about an incident."""

    __tablename__ = "incident_comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    content: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())

    user: Mapped[User] = relationship()

    @property
    def user_name(self) -> str | None:
        """Who wrote it."""
        return _name(self.user)


class TimelineEvent(Base):
    """One change of an incident."""

    __tablename__ = "timeline_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    event_type: Mapped[str] = mapped_column(String(50))
    description: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict, server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())

    user: Mapped[User | None] = relationship()

    @property
    def user_name(self) -> str | None:
        """Who did it."""
        return _name(self.user)


class EscalationPolicy(Base):
    """Whom to page for which incidents, and when."""

    __tablename__ = "escalation_policies"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    conditions: Mapped[dict[str, Any]] = mapped_column(JSONB)
    steps: Mapped[list[Any]] = mapped_column(JSONB)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class Escalation(Base):
    """How far one policy has come on one incident."""

    __tablename__ = "escalations"

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id"), index=True)
    policy_id: Mapped[int] = mapped_column(ForeignKey("escalation_policies.id"))
    state: Mapped[str] = mapped_column(String(20))
    step: Mapped[int] = mapped_column(server_default=text("0"))
    next_run_at: Mapped[datetime | None] = mapped_column(Time, index=True)
    created_at: Mapped[datetime] = mapped_column(Time, server_default=func.now())
