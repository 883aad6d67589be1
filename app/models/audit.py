"""The audit log: entries, what they say, and the chain that shows that none was changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base, Created

NEWEST = ("created_at", "id")


class AuditEntry(Created, Base):
    """Who did what, from where. Insert-only, by triggers and by privilege.

    There are no foreign keys: an entry outlives what it names, and no key can block or change it. `digests` has a
    salted digest of each value, by the value's name; `digest` is that of the whole entry, except `id` and `created_at`,
    which the database sets. `size` is that of its values in bytes.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index(None, *NEWEST),
        Index(None, "actor_id", *NEWEST),
        Index(None, "action", *NEWEST),
        Index(None, "object_type", *NEWEST),
        Index(None, "object_type", "object_id", *NEWEST),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(50))
    actor_id: Mapped[int | None]
    api_key_id: Mapped[int | None]
    session_id: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(String(128))
    object_type: Mapped[str] = mapped_column(String(50))
    object_id: Mapped[str | None] = mapped_column(String(255))
    size: Mapped[int]
    digests: Mapped[dict[str, Any]]
    digest: Mapped[bytes] = mapped_column(LargeBinary)


class AuditValue(Base):
    """What an entry says about one field, or its sender: canonical JSON. May be deleted, which leaves its digest."""

    __tablename__ = "audit_values"

    entry_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    value: Mapped[str] = mapped_column(Text)


class AuditLink(Base):
    """A link of the chain. A trigger adds one for each entry, when its transaction commits."""

    __tablename__ = "audit_links"
    __table_args__ = (UniqueConstraint("entry_id"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditCheckpoint(Created, Base):
    """Where the chain begins after pruning: the last link that was pruned. Insert-only."""

    __tablename__ = "audit_checkpoints"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class RecordedSettings(Base):
    """The settings that were in force at the last start of a service or of a worker. Of secrets, fingerprints."""

    __tablename__ = "recorded_settings"

    role: Mapped[str] = mapped_column(String(20), primary_key=True)
    shown: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
