"""Record for each user whether their address is proved, and a new address that is not proved yet.

Existing accounts count as proved. So do accounts that the previous release makes while both releases run.

Revision ID: 20261128_a1
Revises: 20261128a2
"""

import sqlalchemy as sa

from alembic import op

revision = "20261128_a1"
down_revision = "20261128a2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("is_address_proved", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("users", sa.Column("pending_email", sa.String(length=255), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "pending_email")
    op.drop_column("users", "is_address_proved")
