"""Notes status updates for people who were paged: acknowledged or resolved. Delivery sends them later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, UpdateEvent
from app.crud import crud_status_update
from app.crud.crud_response import LockedIncident
from app.crud.crud_status_update import StatusChange
from app.models import Incident, User

GATHER = timedelta(seconds=20)  # updates within it share one message; a person gets at most one per interval
EVENTS = {IncidentStatus.ACKNOWLEDGED: UpdateEvent.ACKNOWLEDGED, IncidentStatus.RESOLVED: UpdateEvent.RESOLVED}


def change_of(incident: Incident | LockedIncident, *, by: User | None, because: str = "") -> StatusChange | None:
    """The status update about an incident that has just moved. None unless it is acknowledged or resolved."""
    event = EVENTS.get(incident.status)
    if event is None:
        return None
    said = f"{by.display_name} {event} it." if by else f"It was {event}{because}."
    return StatusChange(incident.id, incident.cycle, event, said, by.id if by else None)


def add(session: Session, changes: Sequence[StatusChange], *, at: datetime) -> None:
    """Note the changes for everybody whom a page of the cycle reached, except the actor. One statement for all."""
    if changes:
        crud_status_update.add_for_paged(session, changes, at=at, due_at=at + GATHER)
