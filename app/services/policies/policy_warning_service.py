"""Warns about parts of policies that do not work as written: channels, addresses and people no page would reach.

The number of statements does not grow with the number of policies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.core.channel import EMAIL
from app.core.target import Group, MailAddress, OnChannel, Target, UserId
from app.crud import crud_policy
from app.crud.pagination import Page, Slice
from app.models import EscalationPolicy
from app.schemas.escalation import are_conditions, are_steps
from app.services.contacts import directory_service
from app.services.contacts.directory_service import Directory
from app.services.notification import Person, route
from app.services.policies import action_service
from app.services.policies.actions.registry import ACTIONS, Mentions, Paged
from app.services.ports import Paging

MALFORMED = "This policy is malformed, so its steps may fail. Save its conditions and steps again."
NOT_SET_UP = (
    "The channel {} is not set up here, so it pages nobody. An action that names only such channels uses each "
    "person's own first channel instead."
)
NO_ACCOUNT = "No account has the address {}, so it gets pages by e-mail only, without a fallback to another channel."
NO_ACCOUNT_NO_MAIL = "No account has the address {}, and e-mail is not set up here, so nobody is paged there."
GONE = "{} is deactivated or deleted. Nobody is paged or assigned in their place."
VIEWER = "{} is a viewer: a page reaches them, but they can act on the incident only through the page's link."
NO_CHANNEL = "{} has no working channel, so they get no page."
NO_NAMED_CHANNEL = "{} can use none of the channels that an action names ({}), so it does not page them."
NOBODY_IN = {"admins": "No administrator has a working channel.", "all": "No user has a working channel."}
NOBODY = "Nobody whom this policy names is reachable, so it pages the administrators instead."
NO_PAGE = "No step of this policy pages anybody, so the administrators are paged after its last step."
BATCH = 500  # policies that are looked at together
DEPENDS_ON_THE_INCIDENT = (Group("assignees"), Group("creator"))


class Steps(Protocol):
    """A policy, as a row or as a request."""

    @property
    def conditions(self) -> Any: ...

    @property
    def steps(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Named:
    """Whom and what the actions of a policy name."""

    pages: tuple[Paged, ...]
    mentions: tuple[Mentions, ...]

    def user_ids(self) -> set[int]:
        """The users it names by id, to page or to assign."""
        return {user_id for mentions in self.mentions for _, user_id in mentions.users}


@dataclass(frozen=True, slots=True)
class Known:
    """The people the policies name, on no incident."""

    directory: Directory
    channels: frozenset[str]

    def name_of(self, user_id: int) -> str:
        name = self.directory.name_of(user_id)
        return f"User {user_id}" if name is None else f"{name} (user {user_id})"

    def is_viewer(self, user_id: int) -> bool:
        user = self.directory.users.get(user_id)
        return user is not None and not user.may_respond


def list_policies(
    session: Session, part: Slice, paging: Paging, *, has_warnings: bool | None = None
) -> Page[tuple[EscalationPolicy, list[str]]]:
    """Policies with their warnings, oldest first: all, or only those with or without warnings."""
    if has_warnings is None:
        return _with_warnings(session, part, paging)
    skipped, page = 0, Slice(limit=BATCH, after=part.after)
    while found := _with_warnings(session, page, paging):
        wanted = [pair for pair in found if bool(pair[1]) is has_warnings]
        shown = wanted[max(part.skip - skipped, 0) :]
        skipped += len(wanted) - len(shown)
        if shown:  # the Link leads on: what answers keep of several batches could be too much
            is_last = len(found) < BATCH and not found.is_cut
            return Page(shown[: part.limit], is_cut=not is_last)
        page = replace(page, after=found[-1][0].id)
    return Page()


def _with_warnings(session: Session, part: Slice, paging: Paging) -> Page[tuple[EscalationPolicy, list[str]]]:
    policies = crud_policy.slice(session, part)
    said = iter(warnings(session, policies, paging))
    return policies.map(lambda policy: (policy, next(said)))


def warnings(session: Session, policies: Sequence[Steps], paging: Paging) -> list[list[str]]:
    """The warnings of each policy."""
    named = [named_by(policy) for policy in policies]
    return warnings_of(named, directory_service.load_named(session, targets_of(named), paging))


def warnings_of(policies: Sequence[Named | None], directory: Directory) -> list[list[str]]:
    """The warnings of each policy, from a directory of their targets on no incident."""
    known = Known(directory, directory.paging.channels)
    return [[MALFORMED] if one is None else list(dict.fromkeys(_warnings(one, known))) for one in policies]


def named_by(policy: Steps) -> Named | None:
    """Whom and what a policy names; None if it is malformed."""
    if not (are_conditions(policy.conditions) and are_steps(policy.steps)):
        return None
    actions = [action for step in policy.steps for action in step["actions"]]
    pages = tuple(paged for action in actions for paged in action_service.pages_of(action))
    return Named(pages, tuple(ACTIONS.of(action).mentions(action) for action in actions))


def targets_of(policies: Sequence[Named | None]) -> set[Target]:
    """Everybody whom the policies page or assign."""
    named = [one for one in policies if one is not None]
    paged: set[Target] = {paged.target for one in named for paged in one.pages}
    return paged | {UserId(user_id) for one in named for user_id in one.user_ids()}


def _warnings(named: Named, known: Known) -> Iterator[str]:
    channels = {channel for mentions in named.mentions for channel in mentions.channels}
    yield from (NOT_SET_UP.format(channel) for channel in sorted(channels - known.channels))
    for user_id in sorted(named.user_ids() - known.directory.users.keys()):
        yield GONE.format(known.name_of(user_id))
    for user_id in sorted(filter(known.is_viewer, named.user_ids())):
        yield VIEWER.format(known.name_of(user_id))
    for paged in named.pages:
        yield from _of_target(paged, known)
    if not named.pages:
        yield NO_PAGE
    elif not any(_may_reach(paged, known) for paged in named.pages):
        yield NOBODY


def _of_target(paged: Paged, known: Known) -> Iterator[str]:
    match paged.target:
        case UserId():
            yield from _of_people(paged, known)
        case MailAddress(address) if known.directory.owners[address] is not None:
            yield from _of_people(paged, known)
        case MailAddress(address):
            yield (NO_ACCOUNT if EMAIL in known.channels else NO_ACCOUNT_NO_MAIL).format(address)
        case Group(name) if name in NOBODY_IN and not _may_reach(paged, known):
            yield NOBODY_IN[name]
        case _:
            return


def _of_people(paged: Paged, known: Known) -> Iterator[str]:
    """Warnings about people whom the action names."""
    for person in known.directory.people(paged.target, None):
        name = known.name_of(person.user_id or 0)
        if known.is_viewer(person.user_id or 0):
            yield VIEWER.format(name)
        if not person.is_active:
            yield GONE.format(name)
        elif not _is_reached(person, None, known):
            yield NO_CHANNEL.format(name)
        elif not _is_reached(person, paged.channels, known):
            yield NO_NAMED_CHANNEL.format(name, ", ".join(paged.channels or ()))


def _may_reach(paged: Paged, known: Known) -> bool:
    """False if the target reaches nobody, whatever the incident."""
    if isinstance(paged.target, OnChannel) or paged.target in DEPENDS_ON_THE_INCIDENT:
        return True
    return any(_is_reached(person, paged.channels, known) for person in known.directory.people(paged.target, None))


def _is_reached(person: Person, named: Sequence[str] | None, known: Known) -> bool:
    return bool(route(person, named, known.channels).pages)
