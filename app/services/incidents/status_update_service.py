"""Notes for those who were paged that somebody took the incident, or that it is over. Delivery sends it later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, UpdateEvent
from app.crud import crud_status_update
from app.crud.crud_status_update import StatusChange
from app.models import Incident, User

GATHER = timedelta(seconds=20)  # what happens within it goes into one message; a person gets no more than one in it
EVENTS = {IncidentStatus.ACKNOWLEDGED: UpdateEvent.ACKNOWLEDGED, IncidentStatus.RESOLVED: UpdateEvent.RESOLVED}


def change_of(incident: Incident, *, by: User | None, because: str) -> StatusChange | None:
    """What there is to say about an incident that has just moved. None: nobody took it, and it is not over."""
    event = EVENTS.get(incident.status)
    if event is None:
        return None
    said = f"{by.display_name} {event} it." if by else f"It was {event}{because}."
    return StatusChange(incident.id, incident.cycle, event, said, by.id if by else None)


def add(session: Session, changes: Sequence[StatusChange], *, at: datetime) -> None:
    """Note it for everybody whom a page of the cycle has reached, but not for who did it. One statement for all."""
    if changes:
        crud_status_update.add_for_paged(session, changes, at=at, due_at=at + GATHER)
