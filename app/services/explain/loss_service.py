"""Warns about what a change of an account breaks: policies that name it, its API keys, a person no channel reaches."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.crud import crud_policy, crud_user
from app.crud.crud_policy import ActivePolicy
from app.models import User
from app.schemas.escalation import are_steps
from app.services.accounts.user_service import Changed
from app.services.contacts import reach_service
from app.services.policies.actions.registry import ACTIONS, Mentions
from app.services.ports import Paging

UNPROVED_ADMIN = (
    "This administrator's address is not confirmed: somebody else may have signed up with it. Set a new password, or "
    "have the address confirmed."
)


def of_closing(session: Session, changed: Changed, paging: Paging) -> list[str]:
    """As `of_change`, and which API keys ended with the account."""
    ended = [
        f"The API key “{key.name}” ({key.prefix}…) has ended: it acted as this account." for key in changed.ended_keys
    ]
    return [*of_change(session, changed.user, paging, former_address=changed.former_address), *ended]


def of_change(session: Session, user: User, paging: Paging, *, former_address: str | None = None) -> list[str]:
    """Warnings about an account after a change, and about the address that it gave up."""
    left = _left_behind(session, former_address) if former_address is not None else []
    if not user.is_active:
        return [*left, *_holes(session, user)]
    unproved = [UNPROVED_ADMIN] if user.is_superuser and not user.is_address_proved else []
    return [*left, *unproved, *reach_service.warnings(session, user, paging)]


def _holes(session: Session, user: User) -> list[str]:
    """A sentence for each policy that names an account which is no longer active."""
    owner = crud_user.owner_of(session, user.email) or crud_user.former_owner_of(session, user.email)
    address = user.email.lower() if owner is not None and owner.id == user.id else None
    return [
        f"The policy “{policy.name}” names this account, which is no longer active. Change the policy's steps."
        for policy in _policies(session)
        if any(_names(mentions, user.id, address) for mentions in _mentioned(policy))
    ]


def _left_behind(session: Session, address: str) -> list[str]:
    """The policies that name an address that an account has given up, each in a sentence."""
    return [
        f"The policy “{policy.name}” names the former address {address}, which no account has now. Change the policy's "
        "steps."
        for policy in _policies(session)
        if any(_has_address(mentions, address.lower()) for mentions in _mentioned(policy))
    ]


def _policies(session: Session) -> list[ActivePolicy]:
    return [policy for policy in crud_policy.active(session) if are_steps(policy.steps)]


def _mentioned(policy: ActivePolicy) -> Iterator[Mentions]:
    for step in policy.steps:
        for action in step["actions"]:
            yield ACTIONS.of(action).mentions(action)


def _names(mentions: Mentions, user_id: int, address: str | None) -> bool:
    by_id = any(named == user_id for _, named in mentions.users)
    return by_id or _has_address(mentions, address)


def _has_address(mentions: Mentions, address: str | None) -> bool:
    return any(named.lower() == address for _, named in mentions.addresses)
