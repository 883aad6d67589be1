"""Escalation policies, their immutable versions, and the escalations that follow them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.vocabulary import EscalationState, EventStatus
from app.db.base_class import Base, Created, Timestamps, words


class EscalationPolicy(Timestamps, Base):
    """Whom to page for which incidents, and when. Soft-deleted, because events refer to it."""

    __tablename__ = "escalation_policies"
    __table_args__ = (
        Index("uq_escalation_policies_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("ix_escalation_policies_spreading", "id", postgresql_where=text("spread_after IS NOT NULL")),
        CheckConstraint("repeat BETWEEN 0 AND 9", name="repeat_range"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    conditions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    steps: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    repeat: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    runbook_url: Mapped[str | None] = mapped_column(String(2048))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    # The rollout has reached the open incidents up to this id, except locked ones. None: it is complete.
    rollout_after: Mapped[int | None] = mapped_column("spread_after")
    rollout_locked: Mapped[list[int]] = mapped_column(
        "spread_held", ARRAY(Integer), default=list, server_default=text("'{}'")
    )
    deleted_at: Mapped[datetime | None]


class EscalationPolicyVersion(Created, Base):
    """One version of a policy: an escalation keeps the version it started with. Insert-only."""

    __tablename__ = "escalation_policy_versions"
    __table_args__ = (UniqueConstraint("policy_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    policy_id: Mapped[int] = mapped_column(ForeignKey("escalation_policies.id", ondelete="CASCADE"))
    version: Mapped[int]
    conditions: Mapped[dict[str, Any]]
    steps: Mapped[list[Any]]
    repeat: Mapped[int]

    policy: Mapped[EscalationPolicy] = relationship(lazy="raise")


class Escalation(Timestamps, Base):
    """The progress of one policy on one incident. `step` fires next; `loop` only rises.

    `brought_forward` and `other_step` are used once a step was brought forward: see `escalation.Position`.
    """

    __tablename__ = "escalations"
    __table_args__ = (
        UniqueConstraint("incident_id", "policy_id"),
        Index(None, "policy_id"),
        Index(None, "version_id"),
        Index("ix_escalations_unfinished", "policy_id", "incident_id", postgresql_where=text("state <> 'ended'")),
        Index("ix_escalations_due", "next_run_at", postgresql_where=text("next_run_at IS NOT NULL")),
        Index("ix_escalations_unreachable", "id", postgresql_where=text("unreachable_since IS NOT NULL")),
        CheckConstraint("(state = 'running') = (next_run_at IS NOT NULL)", name="running_has_a_due_time"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    policy_id: Mapped[int] = mapped_column(ForeignKey("escalation_policies.id", ondelete="CASCADE"))
    version_id: Mapped[int] = mapped_column(ForeignKey("escalation_policy_versions.id", ondelete="RESTRICT"))
    state: Mapped[EscalationState] = mapped_column(words(EscalationState, length=20))
    cycle: Mapped[int]
    loop: Mapped[int]
    repeats_left: Mapped[int]
    step: Mapped[int]
    has_reached: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    next_run_at: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    quarantined_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    brought_forward: Mapped[timedelta] = mapped_column(default=timedelta(), server_default=text("'0'"))
    other_step: Mapped[int | None]

    version: Mapped[EscalationPolicyVersion] = relationship(lazy="raise")


class EscalationEvent(Base):
    """A step that fired, only once by constraint. Inserted with its final status and never updated."""

    __tablename__ = "escalation_events"
    __table_args__ = (
        UniqueConstraint("incident_id", "policy_id", "cycle", "loop", "step"),
        Index(None, "policy_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"))
    policy_id: Mapped[int] = mapped_column(ForeignKey("escalation_policies.id", ondelete="CASCADE"))
    cycle: Mapped[int]
    loop: Mapped[int]
    step: Mapped[int]
    status: Mapped[EventStatus] = mapped_column(words(EventStatus, length=50))
    triggered_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    completed_at: Mapped[datetime | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, default=dict, server_default=text("'{}'"))
