"""Keeps user accounts and their rights."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import DuplicateEmail, LastAdmin, NotFound, SignupClosed
from app.core.security import Passwords
from app.crud import crud_auth_session, crud_password_reset_token, crud_user
from app.crud.clock import now
from app.crud.pagination import Slice
from app.crud.violations import violations
from app.models import User
from app.schemas.base import Update
from app.schemas.user import Signup, UserCreate
from app.services.contacts import preference_service

log = structlog.get_logger()

EMAIL_IS_UNIQUE = "uq_users_email"


def sign_up(session: Session, new: Signup, passwords: Passwords, *, is_open: bool) -> User:
    """Make an ordinary account for oneself. Raises SignupClosed, DuplicateEmail."""
    if not is_open:
        raise SignupClosed("Signing up is closed: ask an administrator for an account.")
    return create(session, UserCreate(**new.model_dump()), passwords)


def create(session: Session, new: UserCreate, passwords: Passwords) -> User:
    """Make an account. Raises DuplicateEmail."""
    fields = new.model_dump(exclude={"password"})
    hashed = passwords.hash(new.password)  # before the first statement: no connection waits for it
    at = now(session)
    user = User(**fields, hashed_password=hashed, created_at=at, updated_at=at)
    with violations({EMAIL_IS_UNIQUE: _taken()}):
        crud_user.add(session, user)
    log.info("user_created", user_id=user.id, is_superuser=user.is_superuser)
    return user


def themselves(session: Session, asked: Sequence[tuple[User, None]], *, waits: bool) -> list[User]:  # noqa: ARG001
    """The users of many requests at once: each has been read with its token."""
    return [user for user, _ in asked]


def get(session: Session, user_id: int) -> User:
    """Raises NotFound, for a deleted user too."""
    return _found(crud_user.get(session, user_id), user_id)


def list_users(session: Session, part: Slice) -> Sequence[User]:
    """Users, oldest first."""
    return crud_user.slice(session, part)


def update(session: Session, user_id: int, update: Update, passwords: Passwords) -> User:
    """Change an account. A new password or a deactivation ends its tokens at once; a new address revives its channel.

    Raises NotFound, DuplicateEmail, LastAdmin.
    """
    changes: dict[str, Any] = update.changes()
    if "password" in changes:
        changes["hashed_password"] = passwords.hash(changes.pop("password"))
    if changes.get("is_active") is False or changes.get("is_superuser") is False:
        _require_another_admin(session, user_id)
    user = _found(crud_user.get_for_update(session, user_id), user_id)
    at = now(session)
    with violations({EMAIL_IS_UNIQUE: _taken()}):
        old = crud_user.apply(session, user, changes, at=at)
    if "hashed_password" in old or not user.is_active:
        crud_auth_session.revoke_all_of(session, user.id, at=at)
    if old.keys() & {"hashed_password", "email", "is_active"}:
        crud_password_reset_token.spend_all_of(session, user.id, at=at)  # whom they were sent to may be another now
    preference_service.revive(session, user, old.keys(), at=at)
    log.info("user_updated", user_id=user.id, fields=sorted(old.keys() - {"hashed_password"}))
    return user


def delete(session: Session, user_id: int) -> User:
    """Delete softly: hidden, tokens ended, the address free again, authorship kept. Raises NotFound, LastAdmin."""
    _require_another_admin(session, user_id)
    user = _found(crud_user.get_for_update(session, user_id), user_id)
    at: datetime = now(session)
    crud_user.apply(session, user, {"deleted_at": at, "is_active": False}, at=at)
    crud_auth_session.revoke_all_of(session, user.id, at=at)
    log.info("user_deleted", user_id=user.id)
    return user


def _require_another_admin(session: Session, user_id: int) -> None:
    """Raise LastAdmin if this is the only active admin. Locks them all: two at once must not end each other."""
    if list(crud_user.lock_active_admins(session)) == [user_id]:
        raise LastAdmin("The last active administrator can be neither deleted, deactivated nor demoted.")


def _taken() -> DuplicateEmail:
    return DuplicateEmail("There is an account with this e-mail address already.")


def _found(user: User | None, user_id: int) -> User:
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return user
