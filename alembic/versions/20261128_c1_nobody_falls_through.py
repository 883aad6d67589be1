"""Mark incidents that no policy matches, record steps that move forward, and add the runbook of a policy.

Every new column has a default or may be null, so that workers of the previous release keep running. The upgrade marks
unresolved incidents that page nobody, so that they can be listed, and pages nobody about them.

Revision ID: 20261128_c1
Revises: 20261128_c2
"""

import re

import sqlalchemy as sa

from alembic import op

revision = "20261128_c1"
down_revision = "20261128_c2"
branch_labels = None
depends_on = None

EVENTS = ["no_policy_matched", "ended_without_page"]
MARK_OLD_ROWS = """
    UPDATE incidents SET is_unmatched = true
    WHERE status <> 'resolved' AND NOT EXISTS (
        SELECT FROM escalations e
        WHERE e.incident_id = incidents.id AND e.cycle = incidents.cycle AND e.state <> 'ended'
    )
"""


def upgrade() -> None:
    op.add_column("incidents", sa.Column("is_unmatched", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("incidents", sa.Column("unmatched_due_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(MARK_OLD_ROWS)
    op.create_index(
        "ix_incidents_unmatched", "incidents", ["id"], unique=False, postgresql_where=sa.text("is_unmatched")
    )
    op.create_index(
        "ix_incidents_unmatched_due",
        "incidents",
        ["unmatched_due_at"],
        unique=False,
        postgresql_where=sa.text("unmatched_due_at IS NOT NULL"),
    )
    op.add_column(
        "escalations", sa.Column("brought_forward", sa.Interval(), server_default=sa.text("'0'"), nullable=False)
    )
    op.add_column("escalations", sa.Column("other_step", sa.Integer(), nullable=True))
    op.add_column("escalation_policies", sa.Column("runbook_url", sa.String(length=2048), nullable=True))
    _allow([*_allowed(), *EVENTS])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM timeline_events WHERE event_type = ANY (:events)").bindparams(events=EVENTS))
    _allow([event for event in _allowed() if event not in EVENTS])
    op.drop_column("escalation_policies", "runbook_url")
    op.drop_column("escalations", "other_step")
    op.drop_column("escalations", "brought_forward")
    op.drop_index(
        "ix_incidents_unmatched_due",
        table_name="incidents",
        postgresql_where=sa.text("unmatched_due_at IS NOT NULL"),
    )
    op.drop_index("ix_incidents_unmatched", table_name="incidents", postgresql_where=sa.text("is_unmatched"))
    op.drop_column("incidents", "unmatched_due_at")
    op.drop_column("incidents", "is_unmatched")


def _allowed() -> list[str]:
    """The event kinds that the timeline accepts now."""
    question = sa.text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = 'timeline_events'::regclass AND conname = 'ck_timeline_events_timeline_event_type'"
    )
    found: list[str] = re.findall(r"'(\w+)'", op.get_bind().execute(question).scalar_one())
    return found


def _allow(events: list[str]) -> None:
    """Replace the CHECK on event kinds: add it unvalidated, then validate it."""
    name = "ck_timeline_events_timeline_event_type"
    listed = ", ".join(f"'{event}'" for event in events)
    op.execute(f"ALTER TABLE timeline_events DROP CONSTRAINT {name}")
    op.execute(f"ALTER TABLE timeline_events ADD CONSTRAINT {name} CHECK (event_type IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE timeline_events VALIDATE CONSTRAINT {name}")
