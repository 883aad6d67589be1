"""How people want to be reached."""

from fastapi import APIRouter

from app.api.deps import AdminUser, ChannelName, CurrentUser, PagingDep, SessionDep, UserId
from app.api.errors import problems
from app.api.routing import TransactionalRoute
from app.schemas.notification import PreferenceRead, PreferenceUpdate
from app.services import preference_service

router = APIRouter(prefix="/notification-preferences", tags=["notifications"], route_class=TransactionalRoute)


@router.get("/me")
def list_my_preferences(user: CurrentUser, paging: PagingDep, session: SessionDep) -> list[PreferenceRead]:
    """List one's own channels. What holds for each is said also where it was never set."""
    return preference_service.effective(session, user.id, paging)


@router.put("/me/{channel}", responses=problems(404))
def set_my_preference(
    channel: ChannelName, body: PreferenceUpdate, user: CurrentUser, paging: PagingDep, session: SessionDep
) -> PreferenceRead:
    """Set one of one's own channels. Switches it on or off, or sets where it leads."""
    return preference_service.put(session, user.id, channel, body, paging)


@router.get("/{user_id}", responses=problems(403, 404))
def list_preferences(user_id: UserId, user: AdminUser, paging: PagingDep, session: SessionDep) -> list[PreferenceRead]:
    """List a user's channels. For administrators."""
    return preference_service.effective(session, user_id, paging)


@router.put("/{user_id}/{channel}", responses=problems(403, 404))
def set_preference(
    user_id: UserId,
    channel: ChannelName,
    body: PreferenceUpdate,
    user: AdminUser,
    paging: PagingDep,
    session: SessionDep,
) -> PreferenceRead:
    """Set one of a user's channels. Switches it on or off, or sets where it leads. For administrators."""
    return preference_service.put(session, user_id, channel, body, paging)
