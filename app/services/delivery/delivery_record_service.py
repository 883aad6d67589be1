"""Shows what was sent, to whom, and every attempt."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.crud import crud_notification
from app.crud.crud_notification import NotificationFilter
from app.crud.pagination import Slice
from app.models import Notification, User
from app.schemas.notification import NotificationRead
from app.services.contacts.address import masked
from app.services.incidents import collaboration_service, incident_service


def deliveries(session: Session, wanted: NotificationFilter, part: Slice, *, user: User) -> Sequence[Notification]:
    """Deliveries, newest first: one's own, or everybody's for an administrator."""
    return crud_notification.slice(session, wanted, part, visible_to=None if user.is_superuser else user.id)


def deliveries_of(session: Session, incident_id: int, part: Slice, *, user: User) -> list[NotificationRead]:
    """What was sent about an incident, newest first; of others' addresses only what tells them apart.

    Raises NotFound, PermissionDenied.
    """
    collaboration_service.require_responder(session, incident_service.get(session, incident_id), user)
    rows = crud_notification.slice(session, NotificationFilter(incident_id=[incident_id]), part, visible_to=None)
    return [_seen_by(user, NotificationRead.model_validate(row)) for row in rows]


def _seen_by(user: User, read: NotificationRead) -> NotificationRead:
    is_ones_own = user.is_superuser or read.user_id == user.id
    return read if is_ones_own else read.model_copy(update={"recipient": masked(read.recipient)})
