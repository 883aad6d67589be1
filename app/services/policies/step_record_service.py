"""The record of the steps that fired."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.crud import crud_event
from app.crud.base import Page
from app.models import EscalationEvent, User
from app.services.incidents import collaboration_service, incident_service


def page(session: Session, incident_id: int, page: Page, *, user: User) -> Sequence[EscalationEvent]:
    """The steps that fired for an incident, oldest first. Raises NotFound, PermissionDenied."""
    collaboration_service.require_responder(session, incident_service.get(session, incident_id), user)
    return crud_event.page(session, incident_id, page)
