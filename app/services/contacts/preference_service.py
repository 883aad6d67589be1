"""People's channel preferences."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.channel import CHANNELS
from app.core.errors import InvalidInput, NotFound, PermissionDenied
from app.crud import crud_preference, crud_user
from app.crud.clock import now
from app.models import NotificationPreference, User
from app.schemas.notification import PreferenceRead, PreferenceUpdate, QuietHours
from app.services import audit_service
from app.services.contacts import reach_service
from app.services.contacts.address import masked
from app.services.contacts.recipient_service import has_status_updates, is_verified
from app.services.ports import Paging

log = structlog.get_logger()


def effective(session: Session, user_id: int, paging: Paging) -> list[PreferenceRead]:
    """The settings in force for every channel, changed or not. Raises NotFound."""
    user = require_user(session, user_id)
    chosen = {preference.channel: preference for preference in crud_preference.of_users(session, [user_id])}
    warnings = reach_service.warnings_of(user, chosen, paging)
    return [
        read(user, channel.name, chosen.get(channel.name), warnings if channel.name in paging.channels else ())
        for channel in paging.listed()
    ]


def put(
    session: Session, user_id: int, channel: str, update: PreferenceUpdate, paging: Paging, *, by: User
) -> PreferenceRead:
    """Change the given settings; null clears one. An address that an administrator sets counts as verified.

    The answer warns if no working channel is left.

    Raises NotFound, InvalidInput, and PermissionDenied for a channel that only administrators may set.
    """
    user = require_user(session, user_id)
    if CHANNELS[channel].is_optional and not by.is_superuser:
        raise PermissionDenied(f"Only administrators may set the channel {channel}. Ask one of them.")
    changes = {**_address(channel, update, paging), **update.columns()}
    at = now(session)
    preference = crud_preference.put(session, user_id, channel, at=at)
    is_new = "address" in changes and changes["address"] != preference.address
    works_again = is_new and preference.disabled_reason is not None  # it was the old address that no longer existed
    changes["is_enabled"] = update.switched(preference.is_enabled or works_again)
    if is_new or changes["is_enabled"]:
        changes["disabled_reason"] = None
    if changes.get("address") and by.is_superuser:  # even an unchanged one: setting it again confirms it
        changes["verified_address"] = changes["address"]
    old = crud_preference.apply(session, preference, changes, at=at)
    if by.id != user_id:
        record_change(session, preference, old, AuditAction.PREFERENCE_SET)
    log.info("preference_set", user_id=user_id, channel=channel, is_enabled=preference.is_enabled)
    warnings = reach_service.warnings(session, user, paging) if channel in paging.channels else ()
    return read(user, channel, preference, warnings)


def order(session: Session, user: User, channels: Sequence[str] | None, paging: Paging) -> list[PreferenceRead]:
    """Put channels first, in this order. None changes nothing. Raises InvalidInput for an unlisted channel."""
    listed = [channel.name for channel in paging.listed()]
    for index, name in enumerate(channels or ()):
        if name not in listed:
            raise InvalidInput(f"The channel {name} is not set up here. Leave it out.", pointer=f"/channels/{index}")
    if channels is not None:
        at = now(session)
        positions = {name: place for place, name in enumerate(channels, start=1)}
        set_before = [row.channel for row in crud_preference.of_users(session, [user.id])]
        for name in sorted({*positions, *set_before}):  # in a fixed order, so that two of these cannot deadlock
            preference = crud_preference.put(session, user.id, name, at=at)
            crud_preference.apply(session, preference, {"position": positions.get(name)}, at=at)
        log.info("channels_ordered", user_id=user.id, channels=list(channels))
    return effective(session, user.id, paging)


def revive(session: Session, user: User, changed: Collection[str], *, at: datetime) -> None:
    """Switch channels back on that the service had switched off and whose address is a changed field of the user."""
    new = {name for name in changed if getattr(user, name) is not None}
    led = [channel.name for channel in CHANNELS if channel.own_address in new]
    for preference in crud_preference.given_up(session, user.id, led) if led else ():
        crud_preference.apply(session, preference, {"is_enabled": True, "disabled_reason": None}, at=at)
        log.info("channel_revived", user_id=user.id, channel=preference.channel)


def record_change(
    session: Session, preference: NotificationPreference, old: Mapping[str, Any], action: AuditAction
) -> None:
    """Record in the audit log what somebody else changed, given as attribute -> old value."""
    if not old:
        return
    channel = preference.channel
    changes = {
        name: (_shown(channel, name, before), _shown(channel, name, after))
        for name, (before, after) in audit_service.changed(old, preference).items()
    }
    audit_service.record(session, action, "preference", f"{preference.user_id}/{channel}", changes=changes)


def _shown(channel: str, name: str, value: Any) -> Any:
    """A setting as the log shows it: the URL of a chat, or a topic, is a secret."""
    is_secret = name in ("address", "verified_address") and CHANNELS[channel].own_address is None
    return masked(value) if is_secret and value is not None else value


def require_user(session: Session, user_id: int) -> User:
    """Raises NotFound."""
    user = crud_user.get(session, user_id)
    if user is None:
        raise NotFound(f"User {user_id} does not exist.")
    return user


def read(
    user: User, channel: str, preference: NotificationPreference | None, warnings: Sequence[str]
) -> PreferenceRead:
    """The settings in force for a channel. By default: on, at the user's own address, never quiet."""
    is_enabled = preference.is_enabled if preference else True
    return PreferenceRead(
        id=preference.id if preference else None,
        user_id=user.id,
        channel=channel,
        enabled=is_enabled,
        is_enabled=is_enabled,
        address=preference.address if preference else None,
        position=preference.position if preference else None,
        quiet_severities=preference.quiet_severities if preference else [],
        quiet_hours=_hours(preference) if preference else None,
        status_updates=has_status_updates(CHANNELS[channel], preference),
        is_verified=is_verified(user, CHANNELS[channel], preference),
        disabled_reason=preference.disabled_reason if preference else None,
        warnings=list(warnings),
    )


def _address(channel: str, update: PreferenceUpdate, paging: Paging) -> dict[str, Any]:
    if "address" not in update.model_fields_set:
        return {}
    if not update.address:
        return {"address": None}
    kind = CHANNELS[channel]
    try:
        return {"address": kind.clean_address(update.address, paging.settings_of(kind))}
    except ValueError as error:
        raise InvalidInput(str(error), pointer="/address") from error


def _hours(preference: NotificationPreference) -> QuietHours | None:
    if preference.quiet_from is None or preference.quiet_until is None or preference.time_zone is None:
        return None
    return QuietHours.model_construct(
        begins=f"{preference.quiet_from:%H:%M}", ends=f"{preference.quiet_until:%H:%M}", time_zone=preference.time_zone
    )
