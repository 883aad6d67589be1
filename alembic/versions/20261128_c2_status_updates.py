"""Add status updates, and the preference that switches them on or off.

Tables are new and columns may be null, so that workers of the previous release keep running. They send status update
messages as notices.

Revision ID: 20261128_c2
Revises: 20261128_a1
"""

import sqlalchemy as sa

from alembic import op

revision = "20261128_c2"
down_revision = "20261128_a1"
branch_labels = None
depends_on = None

KINDS = ["page", "bundle", "password_reset", "verification", "test", "notice"]
NEW_KINDS = [*KINDS, "acknowledged", "resolved", "status_updates"]
OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "status_updates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column(
            "event",
            sa.Enum(
                "acknowledged",
                "resolved",
                name="update_event",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("address", sa.String(length=2048), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("incident_id", "cycle", "recipient", "channel", "event"),
    )
    op.create_index(op.f("ix_status_updates_user_id"), "status_updates", ["user_id"])
    op.create_index("ix_status_updates_due", "status_updates", ["channel", "due_at"], postgresql_where=OPEN)
    op.create_index("ix_status_updates_open_for", "status_updates", ["recipient", "channel"], postgresql_where=OPEN)
    op.add_column("notification_preferences", sa.Column("status_updates", sa.Boolean(), nullable=True))
    _allow(NEW_KINDS)


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM notification_templates WHERE event <> ALL (:kinds)").bindparams(kinds=KINDS))
    _allow(KINDS)
    op.drop_column("notification_preferences", "status_updates")
    op.drop_table("status_updates")


def _allow(kinds: list[str]) -> None:
    """Replace the CHECK on template kinds."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.drop_constraint("message_kind", "notification_templates", type_="check")
    op.execute(
        "ALTER TABLE notification_templates ADD CONSTRAINT ck_notification_templates_message_kind "
        f"CHECK (event IN ({listed}))"
    )
