"""Keep the trace of the request that opened an incident, and of what caused a message.

Both columns may be null: the previous release keeps writing without them.

Revision ID: 20261130_h
Revises: 20261130_g
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_h"
down_revision = "20261130_g"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("incidents", "notifications"):
        op.add_column(table, sa.Column("traceparent", sa.String(55), nullable=True))


def downgrade() -> None:
    for table in ("incidents", "notifications"):
        op.drop_column(table, "traceparent")
