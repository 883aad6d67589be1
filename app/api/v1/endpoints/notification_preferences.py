"""How people want to be reached."""

from datetime import timedelta

from fastapi import APIRouter

from app.api.deps import AdminUser, AnyUser, AuthDep, ChannelName, GuessDep, PagingDep, RateLimitDep, SessionDep, UserId
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.channel import CHANNELS
from app.core.errors import ChannelUnusable, InvalidInput, NotFound, PermissionDenied, TooManyRequests, WrongCode
from app.integrations.channels.push import channel as push
from app.schemas.base import Message
from app.schemas.notification import ChannelOrder, Confirmation, NotificationRead, PreferenceRead, PreferenceUpdate
from app.schemas.push import WebPushKey
from app.services.accounts import guess_service
from app.services.contacts import preference_service, verification_service

# Examples for OpenAPI.
NO_SUCH_CHANNEL = InvalidInput("The channel apprise is not set up here. Leave it out.", pointer="/channels/0")
FOR_ADMINS = PermissionDenied("Only administrators may set the channel apprise. Ask one of them.")
NO_ADDRESS = InvalidInput("This is not a telephone number, such as +49 151 12345678.", pointer="/address")

router = APIRouter(prefix="/notification-preferences", tags=["notifications"], route_class=TransactionalRoute)


@router.get("/me")
def list_my_preferences(user: AnyUser, paging: PagingDep, session: SessionDep) -> list[PreferenceRead]:
    """List your channels. Shows the settings in force, even for channels you never changed."""
    return preference_service.effective(session, user.id, paging)


@router.put("/me", responses=problems(NO_SUCH_CHANNEL))
def order_my_channels(
    body: ChannelOrder, user: AnyUser, paging: PagingDep, session: SessionDep
) -> list[PreferenceRead]:
    """Order your channels. A page uses the first of them that works."""
    return preference_service.order(session, user, body.changes().get("channels"), paging)


@router.put("/me/{channel}", responses=problems(FOR_ADMINS, NotFound, NO_ADDRESS))
def set_my_preference(
    channel: ChannelName, body: PreferenceUpdate, user: AnyUser, paging: PagingDep, session: SessionDep
) -> PreferenceRead:
    """Set one of your channels. Switches it on or off, or sets its address and when it is quiet."""
    return preference_service.put(session, user.id, channel, body, paging, by=user)


@router.post("/me/{channel}/verify", responses=problems(NotFound, ChannelUnusable, TooManyRequests))
def verify_my_address(
    channel: ChannelName,
    user: AnyUser,
    paging: PagingDep,
    auth: AuthDep,
    session: SessionDep,
    guess: GuessDep,
) -> Message:
    """Send a six-digit code to the address of a channel. Confirming it proves that the address is yours."""
    guess("address_verification", account=str(user.id))
    minutes = verification_service.send_code(session, user, channel, paging, auth.tokens) // timedelta(minutes=1)
    return Message(msg=f"A code is on its way. It expires after {minutes} minutes.")


@router.post("/me/{channel}/confirm", responses=problems(NotFound, TooManyRequests, WrongCode))
def confirm_my_address(
    channel: ChannelName,
    body: Confirmation,
    user: AnyUser,
    paging: PagingDep,
    auth: AuthDep,
    session: SessionDep,
    guess: GuessDep,
) -> PreferenceRead:
    """Confirm the code that was sent to the address of a channel. Each code allows five tries."""
    made = guess("address_confirmation", account=str(user.id))
    confirmed = verification_service.confirm(session, user, channel, body.code, paging, auth.tokens)
    guess_service.succeeded(session, made)
    return confirmed


@router.post("/me/{channel}/test", responses=problems(NotFound, ChannelUnusable, TooManyRequests))
def test_my_channel(
    channel: ChannelName, user: AnyUser, paging: PagingDep, session: SessionDep, hit: RateLimitDep
) -> NotificationRead:
    """Send yourself a test message by one channel. Answers with the message; see /v1/notifications for its status."""
    hit("test_message", account=str(user.id))
    return NotificationRead.model_validate(verification_service.send_test(session, user, channel, paging))


@router.get("/web-push-key", responses=problems(NotFound(push.NO_WEB_PUSH)))
def read_web_push_key(user: AnyUser, paging: PagingDep, session: SessionDep) -> WebPushKey:
    """Read the key for a browser's push subscription. The subscription is then the address of the push channel."""
    return WebPushKey(public_key=push.application_server_key(paging.settings_of(CHANNELS[push.PushType.name])))


@router.get("/{user_id}", responses=problems(NotFound))
def list_preferences(user_id: UserId, user: AdminUser, paging: PagingDep, session: SessionDep) -> list[PreferenceRead]:
    """List a user's channels. For administrators."""
    return preference_service.effective(session, user_id, paging)


@router.put("/{user_id}/{channel}", responses=problems(NotFound, NO_ADDRESS))
def set_preference(
    user_id: UserId,
    channel: ChannelName,
    body: PreferenceUpdate,
    user: AdminUser,
    paging: PagingDep,
    session: SessionDep,
) -> PreferenceRead:
    """Set one of a user's channels. An address set here counts as verified. For administrators."""
    return preference_service.put(session, user_id, channel, body, paging, by=user)
