"""The tokens that webhooks have accepted."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base_class import Base


class WebhookToken(Base):
    """A token that a webhook accepted at least once, stored as its seal.

    `refused_at` is when it was first refused after that. The administrators were paged then.
    """

    __tablename__ = "webhook_tokens"

    source: Mapped[str] = mapped_column(String(50), primary_key=True)
    seal: Mapped[str] = mapped_column(String(64), primary_key=True)
    worked_at: Mapped[datetime]
    refused_at: Mapped[datetime | None]
