"""Loads the people of many targets at once, so that looking one up needs no statement."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.core.target import ASSIGNEES, Group, MailAddress, OnChannel, Target, UserId
from app.crud import crud_assignment, crud_preference, crud_user
from app.models import Incident, NotificationPreference, User
from app.services.contacts import recipient_service
from app.services.contacts.quiet import Occasion
from app.services.notification import Person
from app.services.ports import Paging

ADMINS, ALL, CREATOR = Group("admins"), Group("all"), Group("creator")


@dataclass(frozen=True, slots=True)
class Directory:
    """The people of targets on one incident. `users` are active; an unknown group means the assignees."""

    paging: Paging
    users: Mapping[int, User]
    by_email: Mapping[str, User]
    groups: Mapping[Group, Sequence[User]]
    preferences: Mapping[int, dict[str, NotificationPreference]]

    def people(self, target: Target, occasion: Occasion | None) -> list[Person]:
        """As `recipient_service.resolve`."""
        match target:
            case UserId(id_):
                return [self._person(id_, occasion)]
            case MailAddress(address):
                user = self.by_email.get(address)
                return [recipient_service.stranger(address) if user is None else self._person(user.id, occasion)]
            case Group():
                users = self.groups.get(target, self.groups[ASSIGNEES])
            case OnChannel():
                users = self.groups[ASSIGNEES]
        return [self._person(user.id, occasion) for user in users]

    def admins(self) -> list[Person]:
        """Every active administrator, without quiet hours."""
        return self.people(ADMINS, None)

    def involved(self) -> list[User]:
        """The active users who created the incident or are assigned to it."""
        return [*self.groups[CREATOR], *self.groups[ASSIGNEES]]

    def _person(self, user_id: int, occasion: Occasion | None) -> Person:
        user = self.users.get(user_id)
        if user is None:
            return recipient_service.gone(user_id)
        chosen = self.preferences.get(user_id, {})
        choices = recipient_service.choices_of(user, chosen, self.paging, occasion)
        return Person(f"user:{user_id}", user_id, choices, name=user.display_name)


def load(session: Session, incident: Incident, targets: Collection[Target], paging: Paging) -> Directory:
    """Load the people of the targets, the administrators, and those who work on the incident."""
    assigned = {assignment.user_id for assignment in crud_assignment.of_incident(session, incident.id)}
    assigned |= {incident.assigned_to} if incident.assigned_to else set()
    creator = {incident.created_by} if incident.created_by else set()
    return _load(session, targets, paging, assigned=assigned, creator=creator)


def load_named(session: Session, targets: Collection[Target], paging: Paging) -> Directory:
    """Load the people of the targets and the administrators, without an incident and its assignees."""
    return _load(session, targets, paging, assigned=set(), creator=set())


def _load(
    session: Session, targets: Collection[Target], paging: Paging, *, assigned: set[int], creator: set[int]
) -> Directory:
    ids = {target.id for target in targets if isinstance(target, UserId)}
    emails = sorted({target.address for target in targets if isinstance(target, MailAddress)})
    by_email = crud_user.owners_of(session, emails)
    admins = crud_user.active_admins(session)
    everybody = crud_user.all_active(session) if ALL in targets else []
    named = ids | {user.id for user in by_email.values()}
    active = crud_user.active(session, sorted(named | assigned | creator))
    users = {user.id: user for user in (*active, *admins, *everybody)}
    groups = {
        ADMINS: admins,
        ALL: everybody,
        CREATOR: [user for user in active if user.id in creator],
        ASSIGNEES: [user for user in active if user.id in assigned],
    }
    return Directory(paging, users, by_email, groups, _preferences(session, sorted(users)))


def _preferences(session: Session, user_ids: Sequence[int]) -> dict[int, dict[str, NotificationPreference]]:
    found: dict[int, dict[str, NotificationPreference]] = defaultdict(dict)
    for preference in crud_preference.of_users(session, user_ids):
        found[preference.user_id][preference.channel] = preference
    return found
