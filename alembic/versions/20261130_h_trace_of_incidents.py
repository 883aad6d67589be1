"""Keep the trace of the request that opened an incident.

The column may be null: the previous release keeps writing without it.

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
    op.add_column("incidents", sa.Column("traceparent", sa.String(55), nullable=True))


def downgrade() -> None:
    op.drop_column("incidents", "traceparent")
