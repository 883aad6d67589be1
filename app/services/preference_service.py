"""How people want to be reached."""

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, NotFound
from app.core.vocabulary import Channel
from app.crud import crud_preference, crud_user
from app.crud.base import now
from app.models import NotificationPreference, User
from app.schemas.notification import PreferenceRead, PreferenceUpdate
from app.schemas.types import Email, PhoneNumber

log = structlog.get_logger()

ADDRESS_TYPES: dict[str, TypeAdapter[str]] = {Channel.EMAIL: TypeAdapter(Email), Channel.SMS: TypeAdapter(PhoneNumber)}


def effective(session: Session, user_id: int) -> list[PreferenceRead]:
    """What holds for every channel, also for those never set. Raises NotFound."""
    _require_user(session, user_id)
    chosen = {preference.channel: preference for preference in crud_preference.of_users(session, [user_id])}
    return [_read(user_id, channel, chosen.get(channel)) for channel in Channel]


def put(session: Session, user_id: int, channel: Channel, update: PreferenceUpdate) -> PreferenceRead:
    """Switch a channel on or off, or set its address; null clears it. Raises NotFound, InvalidInput."""
    _require_user(session, user_id)
    changes = _changes(channel, update)
    at = now(session)
    preference = crud_preference.put(session, user_id, channel, at=at)
    changes["is_enabled"] = update.switched(preference.is_enabled)
    crud_preference.apply(session, preference, changes, at=at)
    log.info("preference_set", user_id=user_id, channel=channel, is_enabled=preference.is_enabled)
    return _read(user_id, channel, preference)


def _changes(channel: Channel, update: PreferenceUpdate) -> dict[str, object]:
    if "address" not in update.model_fields_set:
        return {}
    if not update.address or channel not in ADDRESS_TYPES:
        return {"address": update.address or None}
    try:
        return {"address": ADDRESS_TYPES[channel].validate_python(update.address)}
    except ValidationError as error:
        raise InvalidInput(f"This is not an address for {channel}.", pointer="/address") from error


def _require_user(session: Session, user_id: int) -> User:
    user = crud_user.get(session, user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user


def _read(user_id: int, channel: str, preference: NotificationPreference | None) -> PreferenceRead:
    is_enabled = preference.is_enabled if preference else True
    return PreferenceRead(
        id=preference.id if preference else None,
        user_id=user_id,
        channel=channel,
        enabled=is_enabled,
        is_enabled=is_enabled,
        address=preference.address if preference else None,
    )
