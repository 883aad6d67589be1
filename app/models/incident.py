"""Incidents and their record: assignments, comments, timeline."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core import tracing
from app.core.vocabulary import IncidentStatus, Severity, TimelineEventType
from app.db.base_class import Base, Created, Timestamps, words
from app.models.escalation import Escalation
from app.models.user import User

UNRESOLVED = text("status <> 'resolved'")
SEARCHED = ("title", "description", "service")
LISTED_BY = ("severity", "service", "source", "created_by", "assigned_to")


class Incident(Timestamps, Base):
    """An incident. `cycle` only rises; pages of an earlier cycle are void.

    `policy_cycles` counts the cycles that policies have started since the last move by a person or an alert.
    `is_unmatched`: no policy matches in this cycle. `unmatched_due_at` is when the worker checks whether to page the
    administrators about that. `traceparent` is the trace of the request that opened it, to which its pages belong.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        Index("uq_incidents_source_alert_id", "source", "alert_id", unique=True, postgresql_where=UNRESOLVED),
        Index(None, "created_at", "id"),
        Index(None, "status", "created_at", "id"),
        *(Index(None, field, "status", "created_at", "id") for field in LISTED_BY),
        Index("ix_incidents_unmatched_listed", "created_at", "id", postgresql_where=text("is_unmatched")),
        Index("ix_incidents_unresolved", "id", postgresql_where=UNRESOLVED),
        Index(None, "status", "id"),
        Index("ix_incidents_unmatched", "id", postgresql_where=text("is_unmatched")),
        Index("ix_incidents_unmatched_due", "unmatched_due_at", postgresql_where=text("unmatched_due_at IS NOT NULL")),
        Index("ix_incidents_snooze_end", "snoozed_until", postgresql_where=text("status = 'snoozed'")),
        Index(
            "ix_incidents_search",
            *SEARCHED,
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 512},  # KiB; whoever fills the list sorts it into the index
            postgresql_ops=dict.fromkeys(SEARCHED, "gin_trgm_ops"),
        ),
        CheckConstraint("(status = 'snoozed') = (snoozed_until IS NOT NULL)", name="snooze_has_an_end"),
        CheckConstraint("(status = 'resolved') = (resolved_at IS NOT NULL)", name="resolved_has_a_time"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[IncidentStatus] = mapped_column(
        words(IncidentStatus, length=50), default=IncidentStatus.OPEN, server_default=IncidentStatus.OPEN.value
    )
    severity: Mapped[Severity] = mapped_column(words(Severity, length=20))
    service: Mapped[str] = mapped_column(String(100))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    source: Mapped[str] = mapped_column(String(50), default="api", server_default="api")
    is_description_edited: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    alert_id: Mapped[str | None] = mapped_column(String(255))
    alert_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    alert_severity: Mapped[str | None] = mapped_column(String(20))
    last_alert_at: Mapped[datetime | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict, server_default=text("'{}'"))
    cycle: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    policy_cycles: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    acknowledged_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]
    is_unmatched: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    unmatched_due_at: Mapped[datetime | None]
    traceparent: Mapped[str | None] = mapped_column(String(tracing.LENGTH))

    escalations: Mapped[list[Escalation]] = relationship(lazy="raise", passive_deletes=True)
    assignments: Mapped[list["IncidentAssignment"]] = relationship(
        lazy="raise", order_by="IncidentAssignment.id", passive_deletes=True
    )

    @property
    def next_escalation_at(self) -> datetime | None:
        """When the next step of any policy is due."""
        return min((e.next_run_at for e in self.escalations if e.next_run_at is not None), default=None)


class IncidentAssignment(Base):
    """A user assigned to an incident, with a role."""

    __tablename__ = "incident_assignments"
    __table_args__ = (UniqueConstraint("incident_id", "user_id"), Index(None, "user_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[str] = mapped_column(String(50))
    assigned_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    user: Mapped[User] = relationship(lazy="raise")


class IncidentComment(Created, Base):
    """A comment on an incident."""

    __tablename__ = "incident_comments"
    __table_args__ = (Index(None, "incident_id", "id"), Index(None, "user_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    content: Mapped[str] = mapped_column(Text)


class TimelineEvent(Created, Base):
    """One change of an incident, by a user or (if null) the service, with its data. Never updated."""

    __tablename__ = "timeline_events"
    __table_args__ = (Index(None, "incident_id", "id"), Index(None, "user_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    event_type: Mapped[TimelineEventType] = mapped_column(words(TimelineEventType, length=50))
    description: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict, server_default=text("'{}'"))
