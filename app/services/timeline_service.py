"""Records the timeline of an incident: every change, by whom, with its data."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.bounded_json import bounded
from app.core.vocabulary import TimelineEventType
from app.crud import crud_timeline
from app.models import TimelineEvent, User

MAX_DATA_BYTES = 65_536  # as compact UTF-8 JSON; the first description of an alert always fits


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
    """Add an entry. `by` is None if the service did it. `data` is JSON; if it is large, it is cut.

    The entry of somebody who acts by an API key has `api_key_id`.
    """
    values = entry(incident_id, event_type, description, at=at, by=by, data=data)
    crud_timeline.stage(session, TimelineEvent(**values))


def entry(
    incident_id: int,
    event_type: TimelineEventType,
    description: str,
    *,
    at: datetime,
    data: dict[str, Any],
    by: User | None = None,
) -> dict[str, Any]:
    """The values of an entry, for several that are added together."""
    return {
        "incident_id": incident_id,
        "event_type": event_type,
        "description": description,
        "user_id": by.id if by else None,
        "metadata_": with_key(bounded(data, MAX_DATA_BYTES), by),
        "created_at": at,
    }


def with_key(data: dict[str, Any], by: User | None) -> dict[str, Any]:
    """The data of an entry, with the API key by which somebody acts."""
    return data if by is None or by.api_key is None else {**data, "api_key_id": by.api_key.id}
