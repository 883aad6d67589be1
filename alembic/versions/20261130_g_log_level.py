"""Keep the level of the log that an administrator has set for all processes.

Revision ID: 20261130_g
Revises: 20261130_f
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_g"
down_revision = "20261130_f"
branch_labels = None
depends_on = None

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def upgrade() -> None:
    op.create_table(
        "set_log_level",
        sa.Column("id", sa.Integer(), server_default=sa.text("1"), autoincrement=False, nullable=False),
        sa.Column("level", sa.String(20), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_by", sa.Integer(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_set_log_level_is_only")),
        sa.CheckConstraint(sa.column("level").in_(LEVELS), name=op.f("ck_set_log_level_log_level")),
        sa.ForeignKeyConstraint(["set_by"], ["users.id"], name="fk_set_log_level_set_by_users", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_set_log_level"),
    )
    op.create_index("ix_set_log_level_set_by", "set_log_level", ["set_by"])


def downgrade() -> None:
    op.drop_table("set_log_level")
