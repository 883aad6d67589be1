"""Record whether a person has edited an incident's description. Repeated alerts leave an edited one alone.

The column has a default, so that the previous release keeps running. The first description of each unresolved
incident is copied to the timeline, because from now on a repeated alert replaces it.

Revision ID: 20261128_b
Revises: 20261128
"""

import sqlalchemy as sa

from alembic import op

revision = "20261128_b"
down_revision = "20261128"
branch_labels = None
depends_on = None

EDITED = """
    UPDATE incidents SET is_description_edited = true
    FROM timeline_events AS event
    WHERE event.incident_id = incidents.id AND incidents.alert_count > 0 AND incidents.status <> 'resolved'
        AND event.event_type = 'updated' AND event.metadata -> 'changes' ? 'description'
"""
FIRST_DESCRIPTIONS = """
    UPDATE timeline_events AS event
    SET metadata = event.metadata || jsonb_build_object('first_description', incidents.description)
    FROM incidents
    WHERE event.incident_id = incidents.id AND incidents.alert_count > 0 AND incidents.status <> 'resolved'
        AND incidents.description IS NOT NULL AND NOT incidents.is_description_edited
        AND event.event_type = 'created'
"""


def upgrade() -> None:
    edited = sa.Column("is_description_edited", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    op.add_column("incidents", edited)
    op.execute(EDITED)
    op.execute(FIRST_DESCRIPTIONS)


def downgrade() -> None:
    op.drop_column("incidents", "is_description_edited")
