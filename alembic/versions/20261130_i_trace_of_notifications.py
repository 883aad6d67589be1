"""Keep the trace of what caused a message.

The column may be null: the previous release keeps writing without it. In a transaction of its own, because others lock
incidents and notifications in either order.

Revision ID: 20261130_i
Revises: 20261130_h
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_i"
down_revision = "20261130_h"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notifications", sa.Column("traceparent", sa.String(55), nullable=True))


def downgrade() -> None:
    op.drop_column("notifications", "traceparent")
