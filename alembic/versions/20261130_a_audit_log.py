"""Add the audit log: entries, their values, the chain over them, and checkpoints.

Everything is new, so the previous release keeps running and writes nothing into it. Triggers refuse changes, and add
each entry to the chain.

Revision ID: 20261130_a
Revises: 20261129
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "20261130_a"
down_revision = "20261129"
branch_labels = None
depends_on = None

NEWEST = ["created_at", "id"]
INDEXES = [
    NEWEST,
    ["actor_id", *NEWEST],
    ["action", *NEWEST],
    ["object_type", *NEWEST],
    ["object_type", "object_id", *NEWEST],
]
INSERT_ONLY = ("audit_entries", "audit_links", "audit_checkpoints")
# PostgreSQL lets an owner take privileges from itself. A superuser has them all the same: for those are the triggers.
REVOKE = (
    f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(INSERT_ONLY)} FROM PUBLIC, CURRENT_USER",
    "REVOKE UPDATE, TRUNCATE ON audit_values FROM PUBLIC, CURRENT_USER",
)

REFUSE = """
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""
# A row may go once a checkpoint says so, which itself never goes.
REFUSE_UNPRUNED = """
    CREATE FUNCTION audit_refuse_unpruned() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        place bigint;
    BEGIN
        IF TG_TABLE_NAME = 'audit_links' THEN
            place := OLD.seq;
        ELSE
            SELECT seq INTO place FROM audit_links WHERE entry_id = OLD.id;
        END IF;
        IF place <= (SELECT max(seq) FROM audit_checkpoints) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the audit log is append-only: only entries before a checkpoint can be deleted'
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""
# It runs at the commit, so the lock is the last one that a transaction takes, and nobody waits for another inside it.
# Each statement sees what was committed before it, so it finds the last link after it has waited.
CHAIN = """
    CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        place bigint;
        previous bytea;
        own bytea;
    BEGIN
        PERFORM pg_advisory_xact_lock(x'1a5ad17'::int);
        SELECT seq, hash INTO place, previous FROM audit_links ORDER BY seq DESC LIMIT 1;
        IF NOT FOUND THEN
            place := 0;
            previous := decode(repeat('00', 32), 'hex');
        END IF;
        place := place + 1;
        own := sha256(
            NEW.digest || int8send(NEW.id) || int8send((extract(epoch FROM NEW.created_at) * 1000000)::bigint)
        );
        INSERT INTO audit_links (seq, entry_id, content, hash)
        VALUES (place, NEW.id, own, sha256(previous || int8send(place) || own));
        RETURN NULL;
    END $$
"""
ADD_TO_CHAIN = """
    CREATE CONSTRAINT TRIGGER audit_chain AFTER INSERT ON audit_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_chain()
"""


def upgrade() -> None:
    _create_entries()
    _create_chain()
    op.create_table(
        "recorded_settings",
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("shown", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("role"),
    )
    for function in (REFUSE, REFUSE_UNPRUNED, CHAIN):
        op.execute(function)
    op.execute(ADD_TO_CHAIN)
    _refuse_changes()
    for statement in REVOKE:
        op.execute(statement)


def downgrade() -> None:
    for table in ("recorded_settings", "audit_checkpoints", "audit_links", "audit_values", "audit_entries"):
        op.drop_table(table)
    for function in ("audit_chain", "audit_refuse_unpruned", "audit_refuse"):
        op.execute(f"DROP FUNCTION {function}()")


def _create_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("api_key_id", sa.Integer(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("object_type", sa.String(length=50), nullable=False),
        sa.Column("object_id", sa.String(length=255), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digests", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for columns in INDEXES:
        op.create_index(f"ix_audit_entries_{'_'.join(columns)}", "audit_entries", columns)
    op.create_table(
        "audit_values",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "name"),
    )


def _create_chain() -> None:
    op.create_table(
        "audit_links",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )


def _refuse_changes() -> None:
    """Also while triggers are off for replication, which takes a superuser."""
    _on("audit_entries", "unpruned", "DELETE", each="ROW", function="audit_refuse_unpruned")
    _on("audit_links", "unpruned", "DELETE", each="ROW", function="audit_refuse_unpruned")
    _on("audit_checkpoints", "kept", "DELETE", each="ROW", function="audit_refuse")
    for table in (*INSERT_ONLY, "audit_values"):
        _on(table, "unchanged", "UPDATE", each="ROW", function="audit_refuse")
        _on(table, "not_emptied", "TRUNCATE", each="STATEMENT", function="audit_refuse")


def _on(table: str, name: str, event: str, *, each: str, function: str) -> None:
    op.execute(f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} FOR EACH {each} EXECUTE FUNCTION {function}()")
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name}")
