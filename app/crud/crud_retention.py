"""Deletes what was over before a time: resolved incidents with their record, and messages about no incident."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app.core.vocabulary import UNDER_WAY, IncidentStatus
from app.crud.base import affected
from app.models import Incident, Notification


class CRUDRetention:
    """Deletes the oldest first, so many at a time, and leaves out what somebody has locked."""

    def delete_incidents(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete incidents that were resolved before a time, with all that belongs to them. Returns how many.

        Leaves out those whose messages are still on their way.
        """
        is_told = exists().where(Notification.incident_id == Incident.id, Notification.status.in_(UNDER_WAY))
        query = (
            select(Incident.id)
            .where(Incident.status == IncidentStatus.RESOLVED, Incident.resolved_at < before, ~is_told)
            .where(Incident.created_at < before)  # it follows, and there is an index by it
            .order_by(Incident.created_at, Incident.id)
        )
        return _delete(session, Incident, query.limit(limit))

    def delete_messages(self, session: Session, *, before: datetime, limit: int) -> int:
        """Delete messages about no incident, such as bundles, that ended before a time. Returns how many.

        Leaves out bundles while one of their pages is kept: their attempts are that page's.
        """
        other = aliased(Notification)
        is_needed = exists().where(or_(other.bundle_id == Notification.id, other.fallback_of == Notification.id))
        query = (
            select(Notification.id)
            .where(Notification.incident_id.is_(None), Notification.ended_at < before, ~is_needed)
            .order_by(Notification.ended_at)
        )
        return _delete(session, Notification, query.limit(limit))


def _delete(session: Session, model: type[Incident | Notification], wanted: Select[Any]) -> int:
    ids = session.scalars(wanted.with_for_update(skip_locked=True)).all()
    return affected(session.execute(delete(model).where(model.id.in_(ids)))) if ids else 0


crud_retention = CRUDRetention()
