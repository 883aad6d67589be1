"""Find messages about no incident by their age, so that old ones can be deleted.

The index is built concurrently, so that nobody waits for it to write. After an interruption, run it again.

Revision ID: 20261130_j
Revises: 20261130_i
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_j"
down_revision = "20261130_i"
branch_labels = None
depends_on = None

NAME = "ix_notifications_of_no_incident"
# Building waits for older transactions to end, and holds up nobody meanwhile. Later revisions have the usual limit.
PATIENT, IMPATIENT = "SET lock_timeout = 0", "SET lock_timeout = '5s'"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(PATIENT)
        # An index whose building was interrupted stays, and serves nobody.
        op.drop_index(NAME, "notifications", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            NAME,
            "notifications",
            ["ended_at"],
            postgresql_where=sa.text("incident_id IS NULL"),
            postgresql_concurrently=True,
        )
        op.execute(IMPATIENT)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(PATIENT)
        op.drop_index(NAME, "notifications", postgresql_concurrently=True, if_exists=True)
        op.execute(IMPATIENT)
