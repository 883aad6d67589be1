"""Record backups, and the last tick of each worker, for the metrics.

The new column may be null: workers of the previous release keep beating without it.

Revision ID: 20261130_e
Revises: 20261130_c
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_e"
down_revision = "20261130_c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )
    op.create_index("ix_backups_finished_at", "backups", ["finished_at"])
    op.add_column("worker_heartbeats", sa.Column("last_tick_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("worker_heartbeats", "last_tick_at")
    op.drop_table("backups")
