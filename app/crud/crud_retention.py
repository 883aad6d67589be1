"""Deletes what was over before a time: resolved incidents with their record, and messages about no incident."""

from datetime import datetime

from sqlalchemy import delete, exists, or_, select
from sqlalchemy.orm import Session, aliased

from app.core.vocabulary import IncidentStatus
from app.crud.base import affected
from app.crud.crud_gauge import UNDER_WAY
from app.models import Incident, Notification


def delete_incidents(session: Session, *, before: datetime, limit: int) -> int:
    """Delete the oldest incidents that were resolved before a time, with all that belongs to them. Returns how many.

    Leaves out those that somebody has locked, and those whose messages are still on their way.
    """
    is_told = exists().where(Notification.incident_id == Incident.id, Notification.status.in_(UNDER_WAY))
    query = (
        select(Incident.id)
        .where(Incident.status == IncidentStatus.RESOLVED, Incident.resolved_at < before, ~is_told)
        .where(Incident.created_at < before)  # it follows, and there is an index by it
        .order_by(Incident.created_at, Incident.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = session.scalars(query).all()
    return affected(session.execute(delete(Incident).where(Incident.id.in_(ids)))) if ids else 0


def delete_messages(session: Session, *, before: datetime, limit: int) -> int:
    """Delete messages about no incident that ended before a time, such as test messages and bundles. Returns how many.

    Leaves out bundles while one of their pages is kept: their attempts are that page's.
    """
    other = aliased(Notification)
    is_needed = exists().where(or_(other.bundle_id == Notification.id, other.fallback_of == Notification.id))
    query = (
        select(Notification.id)
        .where(Notification.incident_id.is_(None), Notification.ended_at < before, ~is_needed)
        .order_by(Notification.ended_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = session.scalars(query).all()
    return affected(session.execute(delete(Notification).where(Notification.id.in_(ids)))) if ids else 0
