"""Keys for machines."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.vocabulary import ApiKeyScope
from app.db.base_class import Base, Created

KNOWN_SCOPES = ", ".join(f"'{scope}'" for scope in ApiKeyScope)


class ApiKey(Created, Base):
    """A key that acts as whoever made it, stored as its fingerprint. `prefix` is its start, to recognize it by.

    The row stays when the key is revoked. `last_used_at` is exact to a minute.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("fingerprint"),
        Index(None, "created_by"),
        CheckConstraint(f"cardinality(scopes) > 0 AND scopes <@ ARRAY[{KNOWN_SCOPES}]::varchar[]", name="known_scopes"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(20)))
    prefix: Mapped[str] = mapped_column(String(12))
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
