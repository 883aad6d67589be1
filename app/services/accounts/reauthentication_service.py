"""Asks people for their current password before changes that somebody at their unlocked screen must not make."""

import structlog
from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, NotAuthenticated, WrongPassword
from app.core.security import Passwords
from app.crud import crud_user
from app.models import User

log = structlog.get_logger()

POINTER = "/current_password"


def require_password(user: User, given: str | None, passwords: Passwords, *, what: str) -> None:
    """Raise InvalidInput without the current password, WrongPassword with a wrong one. `what` needs it."""
    if given is None:
        raise InvalidInput(f"{what} needs current_password. Add it.", pointer=POINTER)
    if not passwords.verify(given, user.hashed_password):
        log.warning("current_password_refused", user_id=user.id)
        raise WrongPassword("current_password is wrong. Enter your current password.", pointer=POINTER)


def unchanged(session: Session, user: User) -> User:
    """The account, locked. Raises NotAuthenticated if it was closed or got another password meanwhile."""
    hashed = user.hashed_password
    locked = crud_user.get_for_update(session, user.id)
    if locked is None or not locked.is_active or locked.hashed_password != hashed:
        raise NotAuthenticated("The access token has been revoked.")
    return locked
