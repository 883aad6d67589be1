"""Loads the people of many targets at once, so that looking one up needs no statement."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from app.core.target import ASSIGNEES, Group, MailAddress, OnChannel, Target, UserId
from app.crud import crud_assignment, crud_preference, crud_user
from app.models import Incident, NotificationPreference, User
from app.services.contacts import name_service, recipient_service
from app.services.contacts.quiet import Occasion
from app.services.notification import Person
from app.services.ports import Paging

ADMINS, ALL, CREATOR = Group("admins"), Group("all"), Group("creator")


@dataclass(frozen=True, slots=True)
class Directory:
    """The people of targets on one incident, as they were when they were read.

    `users` are the active ones by id, in order. `left` has the names of the others, None for an id that no account has.
    `owners` has the account of each address, None if nobody has confirmed it. Assignees may have left.
    `made` keeps the people who were worked out.
    """

    paging: Paging
    users: Mapping[int, User]
    left: Mapping[int, str | None]
    owners: Mapping[str, User | None]
    groups: Mapping[Group, Sequence[User]]
    has_assignees: bool
    preferences: Mapping[int, dict[str, NotificationPreference]]
    made: dict[tuple[int, Occasion | None], Person] = field(default_factory=dict, compare=False, repr=False)

    def people(self, target: Target, occasion: Occasion | None) -> list[Person]:
        """As `recipient_service.resolve`. Raises KeyError for a target that was not loaded: its people are unknown."""
        match target:
            case UserId(id_):
                return [self._person(id_, occasion)]
            case MailAddress(address):
                owner = self.owners[address]
                return [recipient_service.stranger(address) if owner is None else self._person(owner.id, occasion)]
            case Group() if target.is_known:
                users = self.groups[target]
            case Group() | OnChannel():
                users = self.groups[ASSIGNEES]
        return [self._person(user.id, occasion) for user in users]

    def active(self, ids: Collection[int], occasion: Occasion | None) -> list[Person]:
        """Those of these users who are active, in order of their ids. They were loaded as targets."""
        return [self._person(id_, occasion) for id_ in sorted(self.users.keys() & set(ids))]

    def admins(self) -> list[Person]:
        """Every active administrator, without quiet hours."""
        return self.people(ADMINS, None)

    def involved(self) -> list[User]:
        """The active users who created the incident or are assigned to it."""
        return [*self.groups[CREATOR], *self.groups[ASSIGNEES]]

    def name_of(self, user_id: int) -> str | None:
        """The name of somebody who was loaded, active or not."""
        user = self.users.get(user_id)
        return self.left.get(user_id) if user is None else user.display_name

    def on(self, incident: Incident, assigned: Collection[int]) -> "Directory":
        """The same people on another incident, to which these users are assigned. All of them were loaded."""
        own = {CREATOR: self._among(creator_of(incident)), ASSIGNEES: self._among(assigned)}
        return replace(self, groups={**self.groups, **own}, has_assignees=bool(assigned))

    def on_no_incident(self) -> "Directory":
        """The same people, but nobody is assigned and nobody is the creator."""
        return replace(self, groups={**self.groups, CREATOR: [], ASSIGNEES: []}, has_assignees=False)

    def _among(self, ids: Collection[int]) -> list[User]:
        return [self.users[id_] for id_ in sorted(self.users.keys() & set(ids))]

    def _person(self, user_id: int, occasion: Occasion | None) -> Person:
        user, chosen = self.users.get(user_id), self.preferences.get(user_id, {})
        if user is None:
            return recipient_service.gone(user_id, self.left[user_id])
        is_ever_quiet = any(preference.quiet_severities for preference in chosen.values())
        key = (user_id, occasion if is_ever_quiet else None)
        if key not in self.made:
            self.made[key] = self._made(user, chosen, occasion)
        return self.made[key]

    def _made(self, user: User, chosen: Mapping[str, NotificationPreference], occasion: Occasion | None) -> Person:
        choices = recipient_service.choices_of(user, chosen, self.paging, occasion)
        return Person(f"user:{user.id}", user.id, choices, name=user.display_name)


def load(session: Session, incident: Incident, targets: Collection[Target], paging: Paging) -> Directory:
    """Load the people of the targets, the administrators, and those who work on the incident."""
    return load_each(session, [incident], targets, paging)[incident.id]


def load_each(
    session: Session, incidents: Sequence[Incident], targets: Collection[Target], paging: Paging
) -> dict[int, Directory]:
    """Load the people of the targets on each incident, by its id. At most five statements, however many there are.

    Later changes do not show. After an assignment ask for the assigned users with `on`: they must be among the targets.
    """
    assigned = _assigned(session, incidents)
    workers = {id_ for incident in incidents for id_ in (*assigned[incident.id], *creator_of(incident))}
    directory = _load(session, targets, paging, workers)
    return {incident.id: directory.on(incident, assigned[incident.id]) for incident in incidents}


def load_named(session: Session, targets: Collection[Target], paging: Paging) -> Directory:
    """Load the people of the targets and the administrators, without an incident and its assignees."""
    return _load(session, targets, paging, set())


def creator_of(incident: Incident) -> set[int]:
    """The user who created the incident, if a user did."""
    return {incident.created_by} if incident.created_by else set()


def _assigned(session: Session, incidents: Sequence[Incident]) -> dict[int, set[int]]:
    """The ids of the users who are assigned to each incident."""
    rows = crud_assignment.of_incidents(session, [incident.id for incident in incidents])
    found = {id_: {row.user_id for row in assignments} for id_, assignments in rows.items()}
    for incident in incidents:
        found[incident.id] |= {incident.assigned_to} if incident.assigned_to else set()
    return found


def _load(session: Session, targets: Collection[Target], paging: Paging, workers: set[int]) -> Directory:
    addresses = sorted({target.address for target in targets if isinstance(target, MailAddress)})
    owners = crud_user.owners_of(session, addresses)
    named = {target.id for target in targets if isinstance(target, UserId)} | {user.id for user in owners.values()}
    active = _active(session, named | workers, is_everybody=ALL in targets)
    users = {user.id: user for user in active}
    everybody = {ALL: active} if ALL in targets else {}
    return Directory(
        paging,
        users,
        left=_left(session, named - users.keys()),
        owners={address: owners.get(address) for address in addresses},
        groups={CREATOR: [], ASSIGNEES: [], ADMINS: [user for user in active if user.is_superuser], **everybody},
        has_assignees=False,
        preferences=_preferences(session, list(users)),
    )


def _active(session: Session, ids: set[int], *, is_everybody: bool) -> Sequence[User]:
    """The active administrators and, of the others, these or everybody."""
    return crud_user.all_active(session) if is_everybody else crud_user.active_or_admin(session, sorted(ids))


def _left(session: Session, ids: set[int]) -> dict[int, str | None]:
    names = name_service.names_of(session, ids)
    return {id_: names.get(id_) for id_ in ids}


def _preferences(session: Session, user_ids: Sequence[int]) -> dict[int, dict[str, NotificationPreference]]:
    found: dict[int, dict[str, NotificationPreference]] = defaultdict(dict)
    for preference in crud_preference.of_users(session, user_ids):
        found[preference.user_id][preference.channel] = preference
    return found
