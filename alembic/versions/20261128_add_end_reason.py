"""Add a column for why a message ended. Until now only the text of its last error said so.

The column may be null, so that workers of the previous release keep running. Messages that they end have no reason.

Revision ID: 20261128
Revises: 20261123
"""

import sqlalchemy as sa

from alembic import op

revision = "20261128"
down_revision = "20261123"
branch_labels = None
depends_on = None

REASONS = ["not_needed", "recipient_deactivated", "refused", "gave_up", "undelivered"]

# The reason follows from the row, and from its last attempt or the last attempt of its bundle.
FROM_OLD_ROWS = """
    UPDATE notifications SET end_reason = CASE
        WHEN status = 'cancelled' AND last_error = 'The recipient''s account was deactivated.'
            THEN 'recipient_deactivated'
        WHEN status = 'cancelled' THEN 'not_needed'
        WHEN accepted_at IS NOT NULL OR last_error LIKE 'Twilio reports that it is %' THEN 'undelivered'
        WHEN (
            SELECT outcome FROM notification_attempts
            WHERE notification_id = coalesce(notifications.bundle_id, notifications.id) ORDER BY id DESC LIMIT 1
        ) = 'dead' THEN 'refused'
        ELSE 'gave_up'
    END
    WHERE status IN ('dead', 'cancelled')
"""


def upgrade() -> None:
    op.add_column("notifications", sa.Column("end_reason", sa.String(length=50), nullable=True))
    op.execute(FROM_OLD_ROWS)
    listed = ", ".join(f"'{reason}'" for reason in REASONS)
    name = "ck_notifications_end_reason"
    op.execute(f"ALTER TABLE notifications ADD CONSTRAINT {name} CHECK (end_reason IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE notifications VALIDATE CONSTRAINT {name}")
    _rename_check("message_event", "message_kind")


def downgrade() -> None:
    _rename_check("message_kind", "message_event")
    op.drop_column("notifications", "end_reason")


def _rename_check(old: str, new: str) -> None:
    """Give the CHECK on template kinds the name that the model uses."""
    table = "notification_templates"
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT ck_{table}_{old} TO ck_{table}_{new}")
