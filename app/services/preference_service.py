"""How people want to be reached."""

import structlog
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.errors import InvalidInput, NotFound
from app.crud import crud_preference, crud_user
from app.crud.base import now
from app.models import NotificationPreference, User
from app.schemas.notification import PreferenceRead, PreferenceUpdate
from app.services.ports import Paging

log = structlog.get_logger()


def effective(session: Session, user_id: int, paging: Paging) -> list[PreferenceRead]:
    """What holds for every channel, also for those never set. Raises NotFound."""
    _require_user(session, user_id)
    chosen = {preference.channel: preference for preference in crud_preference.of_users(session, [user_id])}
    return [_read(user_id, channel.name, chosen.get(channel.name)) for channel in paging.listed()]


def put(session: Session, user_id: int, channel: str, update: PreferenceUpdate, paging: Paging) -> PreferenceRead:
    """Switch a channel on or off, or set its address; null clears it. Raises NotFound, InvalidInput."""
    _require_user(session, user_id)
    changes = _changes(channel, update, paging)
    at = now(session)
    preference = crud_preference.put(session, user_id, channel, at=at)
    changes["is_enabled"] = update.switched(preference.is_enabled)
    crud_preference.apply(session, preference, changes, at=at)
    log.info("preference_set", user_id=user_id, channel=channel, is_enabled=preference.is_enabled)
    return _read(user_id, channel, preference)


def _changes(channel: str, update: PreferenceUpdate, paging: Paging) -> dict[str, object]:
    if "address" not in update.model_fields_set:
        return {}
    if not update.address:
        return {"address": None}
    kind = CHANNELS[channel]
    try:
        return {"address": kind.clean_address(update.address, paging.settings_of(kind))}
    except ValueError as error:
        raise InvalidInput(str(error), pointer="/address") from error


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
