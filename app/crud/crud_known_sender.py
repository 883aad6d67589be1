"""The senders from which owners log in."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.crud.clock import NOW_COLUMN
from app.models import KnownSender


class CRUDKnownSender(CRUDBase[KnownSender]):
    def is_known(self, session: Session, key: str) -> bool:
        """True while a sender is known for an account."""
        still = KnownSender.key == key, KnownSender.forgotten_at > NOW_COLUMN
        return session.scalar(select(KnownSender.key).where(*still)) is not None

    def remember(self, session: Session, keys: Sequence[str], *, forgotten_at: datetime) -> None:
        """Know senders until then. The keys are in order, so that nobody waits for somebody who waits for them."""
        new = insert(KnownSender)
        later = new.on_conflict_do_update(index_elements=["key"], set_={"forgotten_at": new.excluded.forgotten_at})
        session.execute(later, [{"key": key, "forgotten_at": forgotten_at} for key in keys])

    def delete_forgotten(self, session: Session, *, at: datetime) -> int:
        """Delete the senders that are no longer known. Returns how many."""
        return affected(session.execute(delete(KnownSender).where(KnownSender.forgotten_at <= at)))


crud_known_sender = CRUDKnownSender(KnownSender)
