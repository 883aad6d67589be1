"""Keep open circuit breakers and their resets, so that a restart forgets none and every worker follows a reset.

The new column may be null: workers of the previous release keep beating without it, and follow no reset.

Revision ID: 20261130_f
Revises: 20261130_e
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_f"
down_revision = "20261130_e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "circuit_breakers",
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("provider", sa.String(length=255), nullable=False),
        sa.Column("pauses", sa.Integer(), nullable=False),
        sa.Column("failing_messages", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=True),
        sa.Column("open_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_probe_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("followed_reset", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("channel", "provider", name="pk_circuit_breakers"),
    )
    op.create_table(
        "breaker_resets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=50), nullable=False),
        sa.Column("provider", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_breaker_resets"),
    )
    op.add_column("worker_heartbeats", sa.Column("followed_reset", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("worker_heartbeats", "followed_reset")
    op.drop_table("breaker_resets")
    op.drop_table("circuit_breakers")
