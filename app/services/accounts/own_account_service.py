"""People's own accounts: signing up, changing them, and confirming their e-mail address."""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.channel import EMAIL
from app.core.errors import Conflict, SignupClosed
from app.crud import crud_user
from app.crud.clock import now
from app.models import User
from app.schemas.user import Signup, UserUpdateMe
from app.services.accounts import user_record_service, user_service
from app.services.accounts.auth_service import Auth
from app.services.accounts.reauthentication_service import require_password, unchanged
from app.services.accounts.user_service import Changed
from app.services.contacts import code_service
from app.services.contacts.address import masked
from app.services.contacts.code_service import Claim

log = structlog.get_logger()

ACCOUNT = "account"  # the purpose of a code that confirms an account's address, independent of the person's channels


def sign_up(session: Session, new: Signup, auth: Auth, *, is_open: bool) -> User:
    """Create an account without special rights, and send a code to its address. Raises SignupClosed, DuplicateEmail."""
    if not is_open:
        raise SignupClosed("Signing up is closed. Ask an administrator for an account.")
    hashed = auth.passwords.hash(new.password)  # before the first statement, so that no connection waits for it
    user = user_service.add(session, new.model_dump(exclude={"password"}), hashed, is_address_proved=False)
    user_record_service.record_new(session, user, AuditAction.USER_SIGNED_UP, actor_id=user.id)
    _send_code(session, user, user.email, auth)
    return user


def update(session: Session, user: User, update: UserUpdateMe, auth: Auth) -> User:
    """Change the user's own account. A new password ends its tokens at once. A new address waits for confirmation.

    Both need the current password. Raises InvalidInput, WrongPassword, DuplicateEmail, TooManyRequests.
    """
    changes: dict[str, Any] = update.changes()
    claimed = changes.pop("email") if _is_new_address(user, changes) else None
    if claimed is not None or "password" in changes:
        require_password(user, update.current_password, auth.passwords, what="A new e-mail address or password")
    if "password" in changes:
        changes["hashed_password"] = auth.passwords.hash(changes.pop("password"))
    locked = unchanged(session, user)
    old = user_service.change(session, locked, changes, at=now(session))
    user_record_service.record_change(session, locked, old)
    if claimed is not None:
        _claim(session, locked, claimed, auth)
    return locked


def send_code(session: Session, user: User, auth: Auth) -> timedelta:
    """Send another code to the address that waits for confirmation. Returns how long it is valid.

    Raises Conflict if none waits, and TooManyRequests.
    """
    address = _waiting(user)
    if address is None:
        raise Conflict(
            "The address of this account is confirmed, and no new one is waiting. There is nothing to confirm."
        )
    return _send_code(session, user, address, auth)


def confirm(session: Session, user: User, code: str, auth: Auth) -> Changed:
    """Check the code and put the address in force. Notifies the old one. Raises WrongCode, DuplicateEmail."""
    locked = unchanged(session, user)
    at = now(session)
    address = _waiting(locked) or ""
    code_service.take(session, Claim(locked, ACCOUNT, EMAIL, address), code, auth.tokens, at=at)
    return user_service.confirm_address(session, locked, address, at=at)


def _waiting(user: User) -> str | None:
    """The address that waits for confirmation."""
    return user.pending_email or (None if user.is_address_proved else user.email)


def _claim(session: Session, user: User, address: str, auth: Auth) -> None:
    if crud_user.by_email(session, address) is not None:
        raise user_service.taken()
    at = now(session)
    old = crud_user.apply(session, user, {"pending_email": address}, at=at)
    user_record_service.record_change(session, user, old)
    _send_code(session, user, address, auth)
    sentence = (
        f"Somebody who knows your password asked to change the e-mail address of your account to {masked(address)}. "
        "It changes once the code sent there is entered. If it was not you, change your password now."
    )
    user_service.tell(session, user, sentence, user.email, at=at)


def _send_code(session: Session, user: User, address: str, auth: Auth) -> timedelta:
    return code_service.send(session, Claim(user, ACCOUNT, EMAIL, address), auth.tokens, at=now(session))


def _is_new_address(user: User, changes: dict[str, Any]) -> bool:
    """False for the account's own address, even if written in another case."""
    return "email" in changes and changes["email"].lower() != user.email.lower()
