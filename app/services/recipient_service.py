"""Finds out whom a target means, and how each of them wants to be reached."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from app.core.channel import CHANNELS, EMAIL, ChannelType
from app.crud import crud_assignment, crud_preference, crud_user
from app.models import Incident, NotificationPreference, User
from app.services.notification import ChannelChoice, Person


def resolve(session: Session, incident: Incident, target: int | str) -> list[Person]:
    """The active people that a target means at this moment. A channel's name means the assignees."""
    if isinstance(target, int):
        return people(session, crud_user.active(session, [target]))
    if "@" in target:
        users = crud_user.active_by_emails(session, [target])
        return people(session, users) if users else [_stranger(target)]
    group = GROUPS.get(target, _assignees)
    return people(session, group(session, incident))


def admins(session: Session) -> list[Person]:
    """Every active administrator: whom to page when nobody else can be."""
    return people(session, crud_user.active_admins(session))


def people(session: Session, users: Sequence[User]) -> list[Person]:
    """Users with their choices of channels."""
    chosen: dict[int, dict[str, NotificationPreference]] = defaultdict(dict)
    for preference in crud_preference.of_users(session, [user.id for user in users]):
        chosen[preference.user_id][preference.channel] = preference
    return [Person(f"user:{user.id}", user.id, choices_of(user, chosen[user.id])) for user in users]


def choices_of(user: User, preferences: dict[str, NotificationPreference]) -> tuple[ChannelChoice, ...]:
    """What holds for each channel, also for those never set: on, at the user's own address. In the person's order."""
    choices = [_choice(user, channel, preferences.get(channel.name)) for channel in CHANNELS]
    positions = {name: row.position for name, row in preferences.items() if row.position is not None}
    return tuple(sorted(choices, key=lambda choice: positions.get(choice.channel, len(choices))))


def _choice(user: User, channel: ChannelType, preference: NotificationPreference | None) -> ChannelChoice:
    own: str | None = getattr(user, channel.own_address) if channel.own_address else None
    if preference is None:
        return ChannelChoice(channel.name, is_enabled=True, address=own)
    return ChannelChoice(channel.name, preference.is_enabled, preference.address or own)


def _stranger(address: str) -> Person:
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
