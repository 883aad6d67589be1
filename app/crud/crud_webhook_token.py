"""The tokens that webhooks have accepted."""

from datetime import datetime

from sqlalchemy import literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.models import WebhookToken


class CRUDWebhookToken(CRUDBase[WebhookToken]):
    def keep_working(self, session: Session, source: str, seal: str, *, at: datetime) -> bool:
        """Record that a token was accepted. True if none had this seal before."""
        works = {"worked_at": at, "refused_at": None}
        row = insert(WebhookToken).values(source=source, seal=seal, **works)
        kept = row.on_conflict_do_update(index_elements=["source", "seal"], set_=works)
        return bool(session.scalar(kept.returning(literal_column("xmax = 0"))))

    def taken(self, session: Session, source: str) -> frozenset[str]:
        """The seals of the tokens that were accepted and not refused since."""
        still = WebhookToken.source == source, WebhookToken.refused_at.is_(None)
        return frozenset(session.scalars(select(WebhookToken.seal).where(*still)))

    def mark_refused(self, session: Session, source: str, seal: str, *, at: datetime) -> bool:
        """Record that an accepted token is now refused. True for the first caller only."""
        mine = WebhookToken.source == source, WebhookToken.seal == seal, WebhookToken.refused_at.is_(None)
        marked = update(WebhookToken).where(*mine).values(refused_at=at).returning(WebhookToken.seal)
        return session.scalar(marked) is not None


crud_webhook_token = CRUDWebhookToken(WebhookToken)
