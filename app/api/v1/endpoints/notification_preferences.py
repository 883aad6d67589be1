"""How people want to be reached."""

from fastapi import APIRouter

from app.api.deps import AdminUser, CurrentUser, SessionDep, UserId
from app.api.errors import problems
from app.api.routing import TransactionalRoute
from app.core.vocabulary import Channel
from app.schemas.notification import PreferenceRead, PreferenceUpdate
from app.services import preference_service

router = APIRouter(
    prefix="/notification-preferences",
    tags=["notifications"],
    route_class=TransactionalRoute,
    responses=problems(401, 404, 413, 415, 422, 503),
)


@router.get("/me")
def list_my_preferences(user: CurrentUser, session: SessionDep) -> list[PreferenceRead]:
    """Every channel with what holds for it, also those never set."""
    return preference_service.effective(session, user.id)


@router.put("/me/{channel}")
def set_my_preference(
    channel: Channel, body: PreferenceUpdate, user: CurrentUser, session: SessionDep
) -> PreferenceRead:
    """Switch a channel on or off, or set where it leads."""
    return preference_service.put(session, user.id, channel, body)


@router.get("/{user_id}", responses=problems(403))
def list_preferences(user_id: UserId, user: AdminUser, session: SessionDep) -> list[PreferenceRead]:
    """A user's channels."""
    return preference_service.effective(session, user_id)


@router.put("/{user_id}/{channel}", responses=problems(403))
def set_preference(
    user_id: UserId, channel: Channel, body: PreferenceUpdate, user: AdminUser, session: SessionDep
) -> PreferenceRead:
    """Switch a user's channel on or off, or set where it leads."""
    return preference_service.put(session, user_id, channel, body)
