"""Creates, changes and deletes user accounts and their rights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.channel import EMAIL
from app.core.errors import DuplicateEmail, LastAdmin, NotFound
from app.core.facts import NoticeFacts
from app.core.security import Passwords
from app.crud import crud_auth_session, crud_password_reset_token, crud_preference, crud_user, crud_verification
from app.crud.clock import now
from app.crud.pagination import Page, Slice
from app.crud.violations import violations
from app.models import ApiKey, User
from app.schemas.user import UserCreate, UserUpdate
from app.services import notification_service
from app.services.accounts import api_key_service, user_record_service
from app.services.asked import Asked
from app.services.contacts import preference_service
from app.services.contacts.address import masked

log = structlog.get_logger()

EMAIL_IS_UNIQUE = "uq_users_email"
IF_NOT_YOU = "If you did not ask for this, tell an administrator at once."


@dataclass(frozen=True, slots=True)
class Changed:
    """An account after a change, the address that it had proved and gave up by that, and the keys that ended."""

    user: User
    former_address: str | None = None
    ended_keys: Sequence[ApiKey] = ()


def create(session: Session, new: UserCreate, passwords: Passwords) -> User:
    """Create an account for somebody else. Its address counts as confirmed. Raises DuplicateEmail."""
    hashed = passwords.hash(new.password)  # before the first statement, so that no connection waits for it
    user = add(session, new.model_dump(exclude={"password"}), hashed, is_address_proved=True)
    user_record_service.record_new(session, user, AuditAction.USER_CREATED)
    return user


def add(session: Session, fields: Mapping[str, Any], hashed_password: str, *, is_address_proved: bool) -> User:
    """Add an account. Raises DuplicateEmail."""
    at = now(session)
    user = User(
        **fields,
        hashed_password=hashed_password,
        is_address_proved=is_address_proved,
        created_at=at,
        updated_at=at,
    )
    with violations({EMAIL_IS_UNIQUE: taken()}):
        crud_user.add(session, user)
    log.info("user_created", user_id=user.id, is_superuser=user.is_superuser, is_address_proved=user.is_address_proved)
    return user


def themselves(session: Session, asked: Sequence[Asked[None]], *, waits: bool) -> list[User]:  # noqa: ARG001
    """The users of many requests at once. Each was loaded with its token."""
    return [one.user for one in asked]


def get(session: Session, user_id: int) -> User:
    """The user. Raises NotFound, also for a deleted one."""
    return _found(crud_user.get(session, user_id), user_id)


def list_users(session: Session, part: Slice, *, is_address_proved: bool | None = None) -> Page[User]:
    """Users, oldest first: all, or only those with a confirmed or unconfirmed address."""
    return crud_user.slice(session, part, is_address_proved=is_address_proved)


def search_directory(session: Session, q: str, part: Slice) -> Page[User]:
    """The active users whose names contain all words of `q`, oldest first."""
    return crud_user.search(session, q.split(), part)


def update(session: Session, user_id: int, update: UserUpdate, passwords: Passwords) -> Changed:
    """Change somebody's account as an administrator. An address set here counts as confirmed.

    Raises NotFound, DuplicateEmail, LastAdmin.
    """
    changes: dict[str, Any] = update.changes()
    if "password" in changes:
        changes["hashed_password"] = passwords.hash(changes.pop("password"))
    if changes.get("is_active") is False or changes.get("is_superuser") is False:
        _require_another_admin(session, user_id)
    user = _found(crud_user.get_for_update(session, user_id), user_id)
    if changes.get("email", user.email) != user.email:
        changes |= {"is_address_proved": True, "pending_email": None}
    at = now(session)
    old = change(session, user, changes, at=at)
    user_record_service.record_change(session, user, old)
    ended = () if user.is_active else api_key_service.revoke_all_of(session, user, at=at)
    return Changed(user, _given_up(user, old), ended)


def promote(session: Session, user_id: int, password: str, passwords: Passwords) -> User:
    """Make the owner of an account's address an active administrator.

    Somebody else may have had the account until now. So the password is new, the sessions and API keys end, and the
    channels of an account with an unconfirmed address are removed. Raises NotFound.
    """
    hashed = passwords.hash(password)
    user = _found(crud_user.get_for_update(session, user_id), user_id)
    at = now(session)
    take_over(session, user, at=at)
    api_key_service.revoke_all_of(session, user, at=at)
    rights = {"is_superuser": True, "is_active": True}
    old = change(session, user, {**rights, "is_address_proved": True, "hashed_password": hashed}, at=at)
    user_record_service.record_change(session, user, old, AuditAction.USER_PROMOTED)
    return user


def take_over(session: Session, user: User, *, at: datetime) -> None:
    """Hand an account to the owner of its address.

    Somebody else may have signed up with the address and set where its owner's pages go. That is removed.
    """
    if user.is_address_proved:
        return
    api_key_service.revoke_all_of(session, user, at=at)
    crud_preference.delete_all_of(session, user.id)
    crud_verification.delete_all_of(session, user.id)
    old = crud_user.apply(session, user, {"is_address_proved": True, "phone_number": None}, at=at)
    user_record_service.record_change(session, user, old, AuditAction.USER_TAKEN_OVER)
    log.warning("unproved_account_taken_over", user_id=user.id)


def change(session: Session, user: User, changes: Mapping[str, Any], *, at: datetime) -> Mapping[str, Any]:
    """Change a locked account. Returns what really changed, as attribute -> old value. Raises DuplicateEmail.

    A new password or a deactivation ends its tokens at once. The owner is notified of a new password or address, the
    latter at the old address. A new address or number switches its channel back on.
    """
    resets = {"pending_email": None} if "hashed_password" in changes else {}
    with violations({EMAIL_IS_UNIQUE: taken()}):
        old = crud_user.apply(session, user, {**resets, **changes}, at=at)
    if "hashed_password" in old or not user.is_active:
        crud_auth_session.revoke_all_of(session, user.id, at=at)
    if old.keys() & {"hashed_password", "email", "is_active"}:
        crud_password_reset_token.spend_all_of(session, user.id, at=at)  # they may have been sent to somebody else
    preference_service.revive(session, user, old.keys(), at=at)
    _tell_owner(session, user, old, at=at)
    log.info("user_updated", user_id=user.id, fields=sorted(old.keys() - {"hashed_password"}))
    return old


def confirm_address(session: Session, user: User, address: str, *, at: datetime) -> Changed:
    """Let an address hold that the owner of a locked account has proved. Raises DuplicateEmail."""
    old = change(session, user, {"email": address, "pending_email": None, "is_address_proved": True}, at=at)
    user_record_service.record_change(session, user, old, AuditAction.USER_ADDRESS_CONFIRMED)
    return Changed(user, _given_up(user, old))


def _given_up(user: User, old: Mapping[str, Any]) -> str | None:
    """The address that the account had proved before a change, if it has another one now."""
    former: str = old.get("email", user.email)
    was_proved = old.get("is_address_proved", user.is_address_proved)
    return former if was_proved and former.lower() != user.email.lower() else None


def _tell_owner(session: Session, user: User, old: Mapping[str, Any], *, at: datetime) -> None:
    former = old.get("email", user.email)
    if former.lower() != user.email.lower():
        tell(
            session,
            user,
            f"The e-mail address of your account is {masked(user.email)} now. {IF_NOT_YOU}",
            former,
            at=at,
        )
    if "hashed_password" in old:
        tell(session, user, f"The password of your account was changed. {IF_NOT_YOU}", former, at=at)


def tell(session: Session, user: User, sentence: str, address: str, *, at: datetime) -> None:
    """Mail a notice about the account to its owner."""
    notification_service.enqueue_own(session, user, NoticeFacts(sentence), channel=EMAIL, address=address, at=at)


def delete(session: Session, user_id: int) -> Changed:
    """Soft-delete an account: hidden, tokens and keys ended, address free, authorship kept.

    Raises NotFound, LastAdmin.
    """
    _require_another_admin(session, user_id)
    user = _found(crud_user.get_for_update(session, user_id), user_id)
    at: datetime = now(session)
    crud_user.apply(session, user, {"deleted_at": at, "is_active": False}, at=at)
    crud_auth_session.revoke_all_of(session, user.id, at=at)
    user_record_service.record_deletion(session, user)
    log.info("user_deleted", user_id=user.id)
    return Changed(user, ended_keys=api_key_service.revoke_all_of(session, user, at=at))


def _require_another_admin(session: Session, user_id: int) -> None:
    """Raise LastAdmin if this is the only active admin. Locks all admins, so that two cannot remove each other."""
    if list(crud_user.lock_active_admins(session)) == [user_id]:
        raise LastAdmin("This is the last active administrator. Make somebody else an administrator first.")


def taken() -> DuplicateEmail:
    return DuplicateEmail("An account with this e-mail address already exists. Use another address.")


def _found(user: User | None, user_id: int) -> User:
    if user is None:
        raise NotFound(f"User {user_id} does not exist.")
    return user
