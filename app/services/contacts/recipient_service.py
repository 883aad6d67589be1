"""Finds the people of a target, and how each of them wants to be reached."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS, EMAIL, ChannelType
from app.core.target import Group, MailAddress, OnChannel, Target, UserId
from app.crud import crud_assignment, crud_preference, crud_user
from app.models import Incident, NotificationPreference, User
from app.services.contacts.quiet import Hours, Occasion, is_quiet
from app.services.notification import ChannelChoice, Person
from app.services.ports import Paging

log = structlog.get_logger()

LAST = 1000  # the position of channels without one


def resolve(
    session: Session, incident: Incident, target: Target, paging: Paging, occasion: Occasion | None
) -> list[Person]:
    """The people of a target at this moment.

    An address means the account that has confirmed it, else only the address itself. Somebody named by id or address
    who is no longer active is included, so that the skip names them. That includes a deleted account by the address it
    had confirmed, unless another account has confirmed it since.
    """
    match target:
        case UserId(id_):
            users = crud_user.active(session, [id_])
            return people(session, users, paging, occasion) if users else [_gone(session, id_)]
        case MailAddress(address):
            return _at_address(session, address, paging, occasion)
        case Group(name):
            return people(session, GROUPS.get(name, _assignees)(session, incident), paging, occasion)
        case OnChannel():
            return people(session, _assignees(session, incident), paging, occasion)


def _at_address(session: Session, address: str, paging: Paging, occasion: Occasion | None) -> list[Person]:
    user = crud_user.owner_of(session, address) or crud_user.former_owner_of(session, address)
    if user is None:
        return [stranger(address)]
    return people(session, [user], paging, occasion) if user.is_active else [gone(user.id, user.display_name)]


def admins(session: Session, paging: Paging) -> list[Person]:
    """Every active administrator, without quiet hours: the people to page when nobody else is reachable."""
    return people(session, crud_user.active_admins(session), paging, None)


def people(session: Session, users: Sequence[User], paging: Paging, occasion: Occasion | None) -> list[Person]:
    """Users with their choices of channels for an ordinary page; without an occasion nothing is quiet."""
    chosen: dict[int, dict[str, NotificationPreference]] = defaultdict(dict)
    for preference in crud_preference.of_users(session, [user.id for user in users]):
        chosen[preference.user_id][preference.channel] = preference
    return [
        Person(
            f"user:{user.id}",
            user.id,
            choices_of(user, chosen[user.id], paging, occasion),
            name=user.display_name,
        )
        for user in users
    ]


def choices_of(
    user: User, preferences: Mapping[str, NotificationPreference], paging: Paging, occasion: Occasion | None
) -> tuple[ChannelChoice, ...]:
    """The settings in force for each channel, in the person's order. By default: on, at the user's own address."""
    choices = [_choice(user, channel, preferences.get(channel.name), paging, occasion) for channel in CHANNELS]
    positions = {name: row.position for name, row in preferences.items() if row.position is not None}
    return tuple(sorted(choices, key=lambda choice: positions.get(choice.channel, LAST)))


def address_of(user: User, channel: ChannelType, preference: NotificationPreference | None) -> str | None:
    """The address of a channel: the one that was set for it, else the user's own."""
    own: str | None = getattr(user, channel.own_address) if channel.own_address else None
    return (preference.address if preference else None) or own


def is_verified(user: User, channel: ChannelType, preference: NotificationPreference | None) -> bool:
    """True if the address in use is confirmed: by a code sent by this channel, or as the account's own address.

    The account's own may differ in case only: `ß` and `ss` are two mailboxes.
    """
    address = address_of(user, channel, preference)
    if address is None:
        return False
    is_account = channel.own_address == "email" and address.lower() == user.email.lower()
    return (is_account and user.is_address_proved) or (
        preference is not None and preference.verified_address == address
    )


def has_status_updates(channel: ChannelType, preference: NotificationPreference | None) -> bool:
    """The person's choice, else the channel's default."""
    chosen = preference.status_updates if preference else None
    return channel.has_status_updates if chosen is None else chosen


def _choice(
    user: User,
    channel: ChannelType,
    preference: NotificationPreference | None,
    paging: Paging,
    occasion: Occasion | None,
) -> ChannelChoice:
    return ChannelChoice(
        channel.name,
        is_enabled=preference is None or preference.is_enabled,
        address=address_of(user, channel, preference),
        is_verified=not paging.must_be_verified or is_verified(user, channel, preference),
        has_status_updates=has_status_updates(channel, preference),
        is_quiet=preference is not None
        and bool(preference.quiet_severities)
        and is_quiet(occasion, preference.quiet_severities, _hours(preference)),
    )


def _hours(preference: NotificationPreference) -> Hours | None:
    if preference.quiet_from is None or preference.quiet_until is None or preference.time_zone is None:
        return None
    return Hours(preference.quiet_from, preference.quiet_until, _zone(preference.time_zone))


def _zone(name: str) -> ZoneInfo:
    """The zone, or UTC if this machine's data no longer has it: a page must not fail because of that."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        log.warning("time_zone_unknown", time_zone=name)
        return ZoneInfo("UTC")


def gone(user_id: int, name: str | None = None) -> Person:
    """Somebody who is named but no longer active."""
    return Person(f"user:{user_id}", user_id, (), is_active=False, name=name)


def _gone(session: Session, user_id: int) -> Person:
    return gone(user_id, crud_user.names(session, [user_id]).get(user_id))


def stranger(address: str) -> Person:
    """An address without an account."""
    return Person(f"email:{address.lower()}", None, (ChannelChoice(EMAIL, is_enabled=True, address=address),))


def _assignees(session: Session, incident: Incident) -> Sequence[User]:
    ids = [assignment.user_id for assignment in crud_assignment.of_incident(session, incident.id)]
    return crud_user.active(session, [*ids, *([incident.assigned_to] if incident.assigned_to else [])])


def _creator(session: Session, incident: Incident) -> Sequence[User]:
    return crud_user.active(session, [incident.created_by] if incident.created_by else [])


def _admins(session: Session, _incident: Incident) -> Sequence[User]:
    return crud_user.active_admins(session)


def _everybody(session: Session, _incident: Incident) -> Sequence[User]:
    return crud_user.all_active(session)


GROUPS: dict[str, Callable[[Session, Incident], Sequence[User]]] = {
    "assignees": _assignees,
    "creator": _creator,
    "admins": _admins,
    "all": _everybody,
}
