"""The record of what happened to an incident: every change, by whom, with its data."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud import crud_timeline
from app.models import TimelineEvent, User


def record(
    session: Session,
    incident_id: int,
    event_type: TimelineEventType,
    description: str,
    *,
    at: datetime,
    by: User | None = None,
    **data: Any,
) -> None:
    """Add an entry. `by` is None for what the service does by itself; `data` is JSON."""
    event = TimelineEvent(
        incident_id=incident_id,
        event_type=event_type,
        description=description,
        user_id=by.id if by else None,
        metadata_=data,
        created_at=at,
    )
    crud_timeline.stage(session, event)
