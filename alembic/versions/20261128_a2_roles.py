"""Add user roles, queued password recovery requests, and the tokens that webhooks have accepted.

The role defaults to responder, for existing users and for those that the previous release adds meanwhile.

Revision ID: 20261128a2
Revises: 20261128_b
"""

import sqlalchemy as sa

from alembic import op

revision = "20261128a2"
down_revision = "20261128_b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("role", sa.String(length=20), server_default="responder", nullable=False))
    check = "ck_users_user_role"
    op.execute(f"ALTER TABLE users ADD CONSTRAINT {check} CHECK (role IN ('responder', 'viewer')) NOT VALID")
    op.execute(f"ALTER TABLE users VALIDATE CONSTRAINT {check}")
    op.create_table(
        "password_recoveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("token_minutes", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_password_recoveries"),
    )
    op.create_table(
        "webhook_tokens",
        sa.Column("source", sa.String(length=50), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", "seal", name="pk_webhook_tokens"),
    )


def downgrade() -> None:
    op.drop_table("webhook_tokens")
    op.drop_table("password_recoveries")
    op.drop_column("users", "role")
