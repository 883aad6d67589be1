"""The workers and their heartbeats."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base


class WorkerHeartbeat(Base):
    """The last heartbeat of a worker: its channels, and the state of their providers."""

    __tablename__ = "worker_heartbeats"
    __table_args__ = (Index(None, "last_seen_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(50))
    started_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    last_tick_at: Mapped[datetime | None]
    channels: Mapped[dict[str, Any]]
    followed_reset: Mapped[int | None]  # the last reset of breakers; unknown of a worker of an earlier release
    set_up: Mapped[list[str]] = mapped_column(ARRAY(String(50)), default=list, server_default=text("'{}'"))
