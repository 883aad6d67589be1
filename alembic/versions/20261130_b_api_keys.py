"""Add API keys, and from where and with what somebody logged in.

The table is new and the columns may be null, so that processes of the previous release keep running.

Revision ID: 20261130_b
Revises: 20261130_a
"""

import sqlalchemy as sa

from alembic import op

revision = "20261130_b"
down_revision = "20261130_a"
branch_labels = None
depends_on = None

KNOWN_SCOPES = "ARRAY['read', 'incidents:write', 'policies:write', 'admin']::varchar[]"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String(length=20)), nullable=False),
        sa.Column("prefix", sa.String(length=12), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            f"cardinality(scopes) > 0 AND scopes <@ {KNOWN_SCOPES}", name=op.f("ck_api_keys_known_scopes")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fingerprint"),
    )
    op.create_index(op.f("ix_api_keys_created_by"), "api_keys", ["created_by"])
    op.add_column("auth_sessions", sa.Column("sender", sa.String(length=64), nullable=True))
    op.add_column("auth_sessions", sa.Column("user_agent", sa.String(length=255), nullable=True))


def downgrade() -> None:
    op.drop_column("auth_sessions", "user_agent")
    op.drop_column("auth_sessions", "sender")
    op.drop_table("api_keys")
