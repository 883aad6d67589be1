"""What became of each message."""

from fastapi import APIRouter

from app.api.deps import CurrentUser, PaginatedDep, SessionDep
from app.api.routing import TransactionalRoute
from app.schemas.notification import NotificationRead
from app.services import notification_service

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=TransactionalRoute)


@router.get("")
def list_notifications(user: CurrentUser, session: SessionDep, paginated: PaginatedDep) -> list[NotificationRead]:
    """List deliveries with their attempts, newest first. One's own, or everybody's for an administrator."""
    deliveries = notification_service.deliveries(session, paginated.page, user=user)
    paginated.link_next(deliveries)
    return [NotificationRead.model_validate(delivery) for delivery in deliveries]
