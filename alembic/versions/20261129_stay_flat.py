"""Add the indexes that keep lists and the worker's statements fast, however much data there is.

Each index is built concurrently, so that nobody waits for it to write. What they replace is dropped at the end: a
process of the previous release lists incidents slower until it is replaced. After an interruption, run it again.

Revision ID: 20261129
Revises: 20261128_c1
"""

import sqlalchemy as sa

from alembic import op

revision = "20261129"
down_revision = "20261128_c1"
branch_labels = None
depends_on = None

REMARKABLE = "status IN ('pending', 'retry', 'dead', 'cancelled')"
UNSENT = "status = 'pending' AND bundle_id IS NULL AND fallback_at IS NOT NULL"
BUNDLED = "status = 'pending' AND bundle_id IS NOT NULL"
NOTICES = "kind = 'notice' AND status IN ('pending', 'retry', 'sending')"
NEWEST = ["created_at", "id"]
# Name, table, columns, and the condition of a partial index.
INDEXES: list[tuple[str, str, list[str], str | None]] = [
    ("ix_incidents_created_at_id", "incidents", NEWEST, None),
    ("ix_incidents_status_created_at_id", "incidents", ["status", *NEWEST], None),
    ("ix_incidents_severity_status_created_at_id", "incidents", ["severity", "status", *NEWEST], None),
    ("ix_incidents_service_status_created_at_id", "incidents", ["service", "status", *NEWEST], None),
    ("ix_incidents_source_status_created_at_id", "incidents", ["source", "status", *NEWEST], None),
    ("ix_incidents_created_by_status_created_at_id", "incidents", ["created_by", "status", *NEWEST], None),
    ("ix_incidents_assigned_to_status_created_at_id", "incidents", ["assigned_to", "status", *NEWEST], None),
    ("ix_incidents_unmatched_listed", "incidents", NEWEST, "is_unmatched"),
    ("ix_incidents_unresolved", "incidents", ["id"], "status <> 'resolved'"),
    ("ix_escalations_unfinished", "escalations", ["policy_id", "incident_id"], "state <> 'ended'"),
    ("ix_notifications_channel_id", "notifications", ["channel", "id"], None),
    ("ix_notifications_listed", "notifications", ["status", "id", "channel"], REMARKABLE),
    ("ix_notifications_unsent", "notifications", ["incident_id", "cycle"], UNSENT),
    ("ix_notifications_bundled", "notifications", ["bundle_id"], BUNDLED),
    ("ix_notifications_notices", "notifications", ["channel"], NOTICES),
]
REPLACED = {
    "ix_incidents_severity_id": ["severity", "id"],
    "ix_incidents_service_id": ["service", "id"],
    "ix_incidents_source_id": ["source", "id"],
    "ix_incidents_created_by_id": ["created_by", "id"],
    "ix_incidents_assigned_to_id": ["assigned_to", "id"],
    "ix_incidents_created_at": ["created_at"],
}
# Building waits for older transactions to end, and holds up nobody meanwhile. Later revisions have the usual limit.
PATIENT, IMPATIENT = "SET lock_timeout = 0", "SET lock_timeout = '5s'"
# In KiB, for what the search's index has not sorted in yet. Whoever fills that list empties it: in up to 0.2 s at the
# usual 4 MiB.
SHORT_LIST = "ALTER INDEX ix_incidents_search SET (gin_pending_list_limit = 512)"
USUAL_LIST = "ALTER INDEX ix_incidents_search RESET (gin_pending_list_limit)"
# An index whose building was interrupted stays, is kept up to date, and serves nobody.
IS_USELESS = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(PATIENT)
        for name, table, columns, where in INDEXES:
            _build(name, table, columns, where)
        for name in REPLACED:
            op.drop_index(name, "incidents", postgresql_concurrently=True, if_exists=True)
        op.execute(SHORT_LIST)
        op.execute(IMPATIENT)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(PATIENT)
        for name, columns in REPLACED.items():
            _build(name, "incidents", columns)
        for name, table, _, _ in reversed(INDEXES):
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
        op.execute(USUAL_LIST)
        op.execute(IMPATIENT)


def _build(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    _drop_if_useless(name)
    op.create_index(
        name,
        table,
        columns,
        postgresql_where=sa.text(where) if where else None,
        postgresql_concurrently=True,
        if_not_exists=True,
    )


def _drop_if_useless(name: str) -> None:
    is_offline = op.get_context().as_sql
    if not is_offline and op.get_bind().execute(sa.text(IS_USELESS), {"name": name}).scalar_one():
        op.drop_index(name, postgresql_concurrently=True)
