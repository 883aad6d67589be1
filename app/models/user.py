"""Users, their sessions and their tokens."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, inspect, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.vocabulary import UserRole
from app.db.base_class import Base, Created, Timestamps, words


@dataclass(frozen=True, slots=True)
class KeyRights:
    """Which API key somebody acts by, and its scopes."""

    id: int
    scopes: frozenset[str]


class User(Timestamps, Base):
    """A person. Soft-deleted: the row stays for authorship, the address becomes free.

    Until its address is confirmed, a policy that names the address does not page the account. `pending_email` replaces
    `email` once it is confirmed.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_email", text("lower(email)"), unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index(
            "ix_users_admins",
            "id",
            postgresql_where=text("is_superuser AND is_active AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255))
    hashed_password: Mapped[str] = mapped_column(String(255))
    full_name: Mapped[str | None] = mapped_column(String(255))
    phone_number: Mapped[str | None] = mapped_column(String(32))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    role: Mapped[UserRole] = mapped_column(
        words(UserRole, length=20), default=UserRole.RESPONDER, server_default=UserRole.RESPONDER.value
    )
    is_address_proved: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    pending_email: Mapped[str | None] = mapped_column(String(255))
    deleted_at: Mapped[datetime | None]

    @property
    def api_key(self) -> KeyRights | None:
        """The key by which this person acts. None for the person in a login session."""
        rights: KeyRights | None = vars(self).get("_api_key")
        return rights

    def by_key(self, rights: KeyRights) -> "User":
        """This person as a key acts for them: a copy that no session holds, because another request may be theirs."""
        copy = User(**{column.key: getattr(self, column.key) for column in inspect(User).column_attrs})
        vars(copy)["_api_key"] = rights
        return copy

    @property
    def display_name(self) -> str:
        """The name others see: the full name, else the part of the address before the @."""
        return display_name(self.full_name, self.email)

    @property
    def may_respond(self) -> bool:
        """True for responders, and for administrators whatever their role."""
        return self.is_superuser or self.role is not UserRole.VIEWER


def display_name(full_name: str | None, email: str) -> str:
    """A person's full name, else the part of the address before the @."""
    return (full_name or "").strip() or email.rpartition("@")[0] or email


class AuthSession(Created, Base):
    """One login, with its family of refresh tokens. Revoking it ends them all at once.

    `sender` and `user_agent` are from where, and with what, the person logged in.
    """

    __tablename__ = "auth_sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    sender: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")


class RefreshToken(Created, Base):
    """A single-use refresh token, stored as its fingerprint."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index(None, "session_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_sessions.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    session: Mapped[AuthSession] = relationship(lazy="raise")


class PasswordRecovery(Created, Base):
    """A request for a new password, for the worker. Whether the address has an account is not checked yet."""

    __tablename__ = "password_recoveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255))
    token_minutes: Mapped[int]


class PasswordResetToken(Created, Base):
    """A single-use reset token that was mailed to its user, stored as its fingerprint."""

    __tablename__ = "password_reset_tokens"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index(None, "user_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
