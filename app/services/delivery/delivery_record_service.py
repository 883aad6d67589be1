"""Shows messages, their recipients and every attempt to deliver them."""

from sqlalchemy.orm import Session

from app.core.channel import without_answer
from app.crud import crud_notification
from app.crud.crud_notification import NotificationFilter
from app.crud.pagination import Page, Slice
from app.models import User
from app.schemas.notification import NotificationRead
from app.services.contacts.address import masked
from app.services.incidents import collaboration_service, incident_service


def deliveries(session: Session, wanted: NotificationFilter, part: Slice, *, user: User) -> Page[NotificationRead]:
    """Deliveries, newest first: the user's own, or everybody's for an administrator."""
    rows = crud_notification.slice(session, wanted, part, visible_to=None if user.is_superuser else user.id)
    return rows.map(lambda row: _seen_by(user, NotificationRead.model_validate(row)))


def deliveries_of(session: Session, incident_id: int, part: Slice, *, user: User) -> Page[NotificationRead]:
    """The messages about an incident, newest first. Others' addresses are masked.

    Raises NotFound, PermissionDenied.
    """
    collaboration_service.require_involved(session, incident_service.get(session, incident_id), user)
    rows = crud_notification.slice(session, NotificationFilter(incident_id=[incident_id]), part, visible_to=None)
    return rows.map(lambda row: _seen_by(user, NotificationRead.model_validate(row)))


def _seen_by(user: User, read: NotificationRead) -> NotificationRead:
    """Hide servers' answers and others' addresses from everybody but administrators."""
    if user.is_superuser:
        return read
    recipient = read.recipient if read.user_id == user.id else masked(read.recipient)
    attempts = [tried.model_copy(update={"error": without_answer(tried.error)}) for tried in read.attempts]
    last_error = without_answer(read.last_error)
    return read.model_copy(update={"recipient": recipient, "attempts": attempts, "last_error": last_error})
