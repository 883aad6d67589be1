"""Incidents that no policy matches."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from app.core.vocabulary import DeliveryStatus
from app.crud.base import CRUDBase
from app.crud.crud_notification import PAGES
from app.models import Incident, Notification

LOST = [status for status in DeliveryStatus if status.is_lost]


class CRUDUnmatched(CRUDBase[Incident]):
    def mark(self, session: Session, incidents: Sequence[Incident], *, at: datetime) -> None:
        """Mark locked incidents as unmatched, and set when the worker checks them. One statement."""
        session.flush()
        values = {"is_unmatched": True, "unmatched_due_at": at}
        ids = [incident.id for incident in incidents]
        statement = update(Incident).where(Incident.id.in_(ids)).values(**values)
        session.execute(statement, execution_options={"synchronize_session": False})
        for incident in incidents:
            for name, value in values.items():
                set_committed_value(incident, name, value)

    def claim_due(self, session: Session, *, at: datetime, limit: int) -> Sequence[Incident]:
        """Lock the incidents that are due for a check, oldest first. Skips locked ones."""
        query = (
            select(Incident)
            .where(Incident.unmatched_due_at <= at)
            .order_by(Incident.unmatched_due_at)
            .limit(limit)
            .options(selectinload(Incident.escalations))
            .with_for_update(key_share=True, skip_locked=True)
            .execution_options(populate_existing=True)
        )
        return session.scalars(query).all()

    def postpone(self, session: Session, incident_id: int, *, until: datetime) -> None:
        """Postpone the check of an incident."""
        session.execute(update(Incident).where(Incident.id == incident_id).values(unmatched_due_at=until))

    def with_page(self, session: Session, incident_ids: Collection[int]) -> set[int]:
        """Those of the incidents that have a page in their current cycle that arrived or may still arrive."""
        query = (
            select(Incident.id)
            .join(Notification, (Notification.incident_id == Incident.id) & (Notification.cycle == Incident.cycle))
            .where(Incident.id.in_(incident_ids), Notification.status.not_in(LOST), Notification.kind.in_(PAGES))
        )
        return set(session.scalars(query.distinct()))

    def has_missed(self, session: Session, *, before: datetime, at: datetime) -> bool:
        """True if the worker is late for an incident, or could reach nobody about one and will try again."""
        due = Incident.unmatched_due_at
        return any(session.scalar(select(Incident.id).where(which).limit(1)) for which in (due < before, due > at))


crud_unmatched = CRUDUnmatched(Incident)
