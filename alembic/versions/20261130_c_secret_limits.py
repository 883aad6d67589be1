"""Add the counts of guesses, and the senders that accounts are known from.

Both tables are new: processes of the previous release go on counting in their memory.

Revision ID: 20261130_c
Revises: 20261130_b
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_c"
down_revision = "20261130_b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "guess_counts",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("guesses", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_guess_counts_forgotten_at"), "guess_counts", ["forgotten_at"])
    op.create_table(
        "known_senders",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_known_senders_forgotten_at"), "known_senders", ["forgotten_at"])


def downgrade() -> None:
    op.drop_table("known_senders")
    op.drop_table("guess_counts")
