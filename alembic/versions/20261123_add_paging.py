"""Add fallbacks, bundles, token buckets, templates, verified addresses and worker heartbeats.

Every new column has a default, so that workers of the previous release keep running.

Revision ID: 20261123
Revises: 20240820
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "20261123"
down_revision = "20240820"
branch_labels = None
depends_on = None

KINDS = ["page", "manual_page", "password_reset"]
NEW_KINDS = [*KINDS, "bundle", "verification", "test", "notice", "webhook_action"]
EVENTS = [
    "created",
    "updated",
    "acknowledged",
    "resolved",
    "snoozed",
    "snooze_ended",
    "reopened",
    "severity_raised",
    "alert_repeated",
    "assigned",
    "unassigned",
    "commented",
    "escalation_started",
    "escalation_step",
    "escalation_ended",
    "escalation_quarantined",
    "escalated_manually",
    "notification_sent",
    "notification_failed",
    "nobody_reachable",
]
NEW_EVENTS = [
    *EVENTS,
    "notification_delivered",
    "notification_fell_back",
    "webhook_called",
    "cycle_limit_reached",
    "escalation_healed",
]


def upgrade() -> None:
    op.create_table(
        "notification_paces",
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("tokens", sa.Double(), nullable=False),
        sa.Column("refilled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("recipient", "channel", name=op.f("pk_notification_paces")),
    )
    op.create_table(
        "worker_heartbeats",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("set_up", postgresql.ARRAY(sa.String(length=50)), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_heartbeats")),
    )
    op.create_index(op.f("ix_worker_heartbeats_last_seen_at"), "worker_heartbeats", ["last_seen_at"], unique=False)
    op.create_table(
        "address_verifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("address", sa.String(length=2048), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_address_verifications_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_verifications")),
        sa.UniqueConstraint("user_id", "channel", name=op.f("uq_address_verifications_user_id_channel")),
    )
    op.create_table(
        "notification_templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column(
            "event",
            sa.Enum(
                "page",
                "bundle",
                "password_reset",
                "verification",
                "test",
                "notice",
                name="message_event",
                native_enum=False,
                create_constraint=True,
                length=50,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("updated_by", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["updated_by"], ["users.id"], name=op.f("fk_notification_templates_updated_by_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_templates")),
        sa.UniqueConstraint("channel", "event", name=op.f("uq_notification_templates_channel_event")),
    )
    op.create_index(op.f("ix_notification_templates_updated_by"), "notification_templates", ["updated_by"])
    op.add_column("escalations", sa.Column("unreachable_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_escalations_unreachable",
        "escalations",
        ["id"],
        unique=False,
        postgresql_where=sa.text("unreachable_since IS NOT NULL"),
    )
    op.add_column(
        "escalation_policies",
        sa.Column("spread_held", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("incidents", sa.Column("policy_cycles", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("notification_preferences", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column(
        "notification_preferences",
        sa.Column(
            "quiet_severities", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
    )
    op.add_column("notification_preferences", sa.Column("quiet_from", sa.Time(), nullable=True))
    op.add_column("notification_preferences", sa.Column("quiet_until", sa.Time(), nullable=True))
    op.add_column("notification_preferences", sa.Column("time_zone", sa.String(length=64), nullable=True))
    op.add_column("notification_preferences", sa.Column("verified_address", sa.String(length=2048), nullable=True))
    op.add_column("notification_preferences", sa.Column("disabled_reason", sa.Text(), nullable=True))
    op.add_column("notifications", sa.Column("html", sa.Text(), nullable=True))
    op.add_column(
        "notifications",
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("notifications", sa.Column("is_held", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("notifications", sa.Column("fallback_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("notifications", sa.Column("bundle_id", sa.Integer(), nullable=True))
    op.add_column("notifications", sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_notifications_due_by_channel",
        "notifications",
        ["channel", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'retry') AND NOT is_held"),
    )
    op.create_index(
        op.f("ix_notifications_bundle_id"),
        "notifications",
        ["bundle_id"],
        unique=False,
        postgresql_where=sa.text("bundle_id IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_fallback",
        "notifications",
        ["fallback_at"],
        unique=False,
        postgresql_where=sa.text("fallback_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_held",
        "notifications",
        ["channel", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("is_held"),
    )
    op.create_index(
        "ix_notifications_held_for",
        "notifications",
        ["recipient", "channel"],
        unique=False,
        postgresql_where=sa.text("is_held"),
    )
    op.create_foreign_key(
        op.f("fk_notifications_bundle_id_notifications"),
        "notifications",
        "notifications",
        ["bundle_id"],
        ["id"],
        ondelete="SET NULL",
    )
    _allow("notifications", "kind", "notification_kind", NEW_KINDS)
    _allow("timeline_events", "event_type", "timeline_event_type", NEW_EVENTS)


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM notifications WHERE kind <> ALL (:kinds)").bindparams(kinds=KINDS))
    op.execute(sa.text("DELETE FROM timeline_events WHERE event_type <> ALL (:events)").bindparams(events=EVENTS))
    _allow("notifications", "kind", "notification_kind", KINDS)
    _allow("timeline_events", "event_type", "timeline_event_type", EVENTS)
    op.drop_constraint(op.f("fk_notifications_bundle_id_notifications"), "notifications", type_="foreignkey")
    op.drop_index("ix_notifications_held_for", table_name="notifications", postgresql_where=sa.text("is_held"))
    op.drop_index("ix_notifications_held", table_name="notifications", postgresql_where=sa.text("is_held"))
    op.drop_index(
        "ix_notifications_fallback", table_name="notifications", postgresql_where=sa.text("fallback_at IS NOT NULL")
    )
    op.drop_index(
        op.f("ix_notifications_bundle_id"),
        table_name="notifications",
        postgresql_where=sa.text("bundle_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_notifications_due_by_channel",
        table_name="notifications",
        postgresql_where=sa.text("status IN ('pending', 'retry') AND NOT is_held"),
    )
    op.drop_column("notifications", "delivered_at")
    op.drop_column("notifications", "bundle_id")
    op.drop_column("notifications", "fallback_at")
    op.drop_column("notifications", "is_held")
    op.drop_column("notifications", "facts")
    op.drop_column("notifications", "html")
    op.drop_column("notification_preferences", "disabled_reason")
    op.drop_column("notification_preferences", "verified_address")
    op.drop_column("notification_preferences", "time_zone")
    op.drop_column("notification_preferences", "quiet_until")
    op.drop_column("notification_preferences", "quiet_from")
    op.drop_column("notification_preferences", "quiet_severities")
    op.drop_column("notification_preferences", "position")
    op.drop_column("incidents", "policy_cycles")
    op.drop_column("escalation_policies", "spread_held")
    op.drop_index(
        "ix_escalations_unreachable",
        table_name="escalations",
        postgresql_where=sa.text("unreachable_since IS NOT NULL"),
    )
    op.drop_column("escalations", "unreachable_since")
    op.drop_table("notification_templates")
    op.drop_table("address_verifications")
    op.drop_index(op.f("ix_worker_heartbeats_last_seen_at"), table_name="worker_heartbeats")
    op.drop_table("worker_heartbeats")
    op.drop_table("notification_paces")


def _allow(table: str, column: str, constraint: str, words: list[str]) -> None:
    """Replace the CHECK on a closed set: add it unvalidated, then validate it."""
    name = f"ck_{table}_{constraint}"
    listed = ", ".join(f"'{word}'" for word in words)
    op.drop_constraint(constraint, table, type_="check")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
