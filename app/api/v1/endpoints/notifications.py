"""What became of each message."""

from fastapi import APIRouter

from app.api.deps import CurrentUser, PaginatedDep, SessionDep
from app.api.errors import problems
from app.api.routing import TransactionalRoute
from app.schemas.notification import NotificationRead
from app.services import notification_service

router = APIRouter(
    prefix="/notifications",
    tags=["notifications"],
    route_class=TransactionalRoute,
    responses=problems(401, 422, 503),
)


@router.get("")
def list_notifications(user: CurrentUser, session: SessionDep, paginated: PaginatedDep) -> list[NotificationRead]:
    """Deliveries with their attempts, newest first: one's own, or everybody's for an administrator."""
    deliveries = notification_service.deliveries(session, paginated.page, user=user)
    paginated.link_next(deliveries)
    return [NotificationRead.model_validate(delivery) for delivery in deliveries]
