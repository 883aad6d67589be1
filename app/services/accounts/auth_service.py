"""Logging in and out, refreshing tokens, resetting a password.

Takes a database, not a session: hashing must hold no connection, and the reuse of a refresh token must be recorded
although the request is refused.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.core import origin
from app.core.audit_actions import AuditAction
from app.core.errors import InvalidResetToken, NotAuthenticated, WrongCredentials
from app.core.repeats import Repeats
from app.core.security import Claims, Passwords, Tokens, fingerprint, new_opaque_token
from app.crud import (
    crud_auth_session,
    crud_password_recovery,
    crud_password_reset_token,
    crud_refresh_token,
    crud_user,
)
from app.crud.clock import now
from app.db.session import Database
from app.models import AuthSession, PasswordRecovery, PasswordResetToken, RefreshToken, User
from app.schemas.user import TokenPair
from app.services import audit_service, notification_service
from app.services.accounts import guess_service, refusal_service, user_record_service, user_service
from app.services.accounts.guess_service import Guess

log = structlog.get_logger()

MAX_SENDER, MAX_USER_AGENT = 64, 255
REFUSED_LOGIN = "The e-mail address or the password is wrong."
REFUSED_REFRESH = "The refresh token is invalid, used or expired. Log in again."


@dataclass(frozen=True, slots=True)
class Auth:
    """The parts of this installation that authentication needs."""

    passwords: Passwords
    tokens: Tokens
    refresh_lifetime: timedelta
    reset_lifetime: timedelta
    public_url: str
    refused_logins: Repeats = field(default_factory=Repeats)


def log_in(
    database: Database,
    auth: Auth,
    *,
    username: str,
    password: str,
    user_agent: str | None = None,
    guess: Guess | None = None,
) -> TokenPair:
    """Start a session. Raises WrongCredentials; an unknown address takes as long as a wrong password.

    A `guess` that was counted is given back, and its sender is known for the account from then on.
    """
    with database.transaction() as session:
        user = crud_user.by_email(session, username) if "\x00" not in username else None
    is_right = auth.passwords.verify(password, user.hashed_password if user else None)
    is_let_in = user is not None and is_right and user.is_active
    pair = _let_in(database, auth, user, user_agent=user_agent, guess=guess) if user and is_let_in else None
    if user is None or pair is None:
        refusal_service.record_login(database, auth.tokens, auth.refused_logins, username=username, user=user)
        raise WrongCredentials(REFUSED_LOGIN)
    log.info("login_succeeded", user_id=user.id)
    return pair


def _let_in(
    database: Database, auth: Auth, user: User, *, user_agent: str | None, guess: Guess | None
) -> TokenPair | None:
    """A new session of a user whose password was right. None if the account changed meanwhile."""
    with database.transaction() as session:
        if not _is_unchanged(user, crud_user.get_for_update(session, user.id)):
            return None
        login = _begin(session, user.id, user_agent)
        origin.identify(actor_id=user.id, session_id=login.id)
        audit_service.record(session, AuditAction.LOGIN_SUCCEEDED, "user", user.id)
        guess_service.proved_owner(session, guess, user)
        return _issue(session, auth, user.id, login.id, at=login.created_at)


def start_session(session: Session, auth: Auth, user_id: int, *, user_agent: str | None = None) -> TokenPair:
    """The tokens of a new login session. The caller has checked who it is."""
    login = _begin(session, user_id, user_agent)
    return _issue(session, auth, user_id, login.id, at=login.created_at)


def _begin(session: Session, user_id: int, user_agent: str | None) -> AuthSession:
    row = AuthSession(user_id=user_id, created_at=now(session), sender=_kept(origin.current().sender, MAX_SENDER))
    row.user_agent = _kept(user_agent, MAX_USER_AGENT)
    return crud_auth_session.add(session, row)


def refresh(database: Database, auth: Auth, refresh_token: str) -> TokenPair:
    """Exchange a refresh token for a new pair. Using one twice revokes its family. Raises NotAuthenticated."""
    with database.transaction() as session:
        pair = _spend(session, auth, refresh_token)
    if pair is None:  # raised only now, so that the family's end is committed
        raise NotAuthenticated(REFUSED_REFRESH)
    return pair


def log_out(session: Session, refresh_token: str) -> None:
    """Revoke the token's family, access tokens included. Raises NotAuthenticated for an unknown token."""
    token = crud_refresh_token.get_for_update(session, fingerprint(refresh_token))
    if token is None:
        raise NotAuthenticated(REFUSED_REFRESH)
    crud_auth_session.revoke(session, token.session_id, at=now(session))
    origin.identify(actor_id=token.session.user_id, session_id=token.session_id)
    audit_service.record(session, AuditAction.SESSION_LOGGED_OUT, "session", str(token.session_id))
    log.info("logged_out", user_id=token.session.user_id)


def request_password_reset(session: Session, auth: Auth, email: str) -> None:
    """Ask the worker to mail a reset token.

    The worker checks whether the address has an account. The request does the same for every address, so its duration
    reveals nothing.
    """
    minutes = auth.reset_lifetime // timedelta(minutes=1)
    row = PasswordRecovery(email=email, token_minutes=minutes, created_at=now(session))
    crud_password_recovery.add(session, row)


def answer_password_recoveries(session: Session, *, url: str, limit: int) -> int:
    """Mail a reset token for each request whose address has an account. Returns the number of requests."""
    asked = crud_password_recovery.take(session, limit=limit)
    for row in asked:
        _mail_reset_token(session, row, url=url)
    return len(asked)


def _mail_reset_token(session: Session, asked: PasswordRecovery, *, url: str) -> None:
    user = crud_user.by_email(session, asked.email)
    if user is None or not user.is_active:
        log.info("password_reset_for_unknown_address")
        return
    at, minutes = now(session), asked.token_minutes
    token = new_opaque_token()
    expires_at = at + timedelta(minutes=minutes)
    row = PasswordResetToken(user_id=user.id, token_hash=fingerprint(token), created_at=at, expires_at=expires_at)
    crud_password_reset_token.add(session, row)
    notification_service.enqueue_password_reset(session, user, token, at=at, url=url, minutes=minutes)
    log.info("password_reset_requested", user_id=user.id)


def owner_of_reset_token(session: Session, token: str) -> User:
    """The user of a reset token, without using it up. Raises InvalidResetToken."""
    row = crud_password_reset_token.by_hash(session, fingerprint(token))
    return _owner(row, crud_user.get(session, row.user_id) if row else None, at=now(session))


def reset_password(session: Session, auth: Auth, *, token: str, new_password: str, guess: Guess | None = None) -> None:
    """Set a new password and end every session of the user. Raises InvalidResetToken.

    The token was mailed to the account's address, so it confirms that address, and the sender's right to log in.
    """
    hashed = auth.passwords.hash(new_password)
    at = now(session)
    row = crud_password_reset_token.get_for_update(session, fingerprint(token))
    user = _owner(row, crud_user.get_for_update(session, row.user_id) if row else None, at=at)
    user_service.take_over(session, user, at=at)
    old = user_service.change(session, user, {"hashed_password": hashed}, at=at)
    user_record_service.record_reset(session, user, old)
    guess_service.proved_owner(session, guess, user)
    log.info("password_reset", user_id=user.id)


def forget_old(session: Session) -> tuple[int, int]:
    """Delete the sessions and reset tokens that expired over a day ago. Returns how many of each."""
    before = now(session) - timedelta(days=1)
    sessions = crud_auth_session.delete_dead(session, before=before)
    return sessions, crud_password_reset_token.delete_expired(session, before=before)


def _owner(row: PasswordResetToken | None, user: User | None, *, at: datetime) -> User:
    """The user of a valid token. Raises InvalidResetToken."""
    if row is None or user is None or not user.is_active or row.used_at is not None or row.expires_at <= at:
        raise InvalidResetToken("The token is invalid, used or expired. Request a new one.")
    return user


def _spend(session: Session, auth: Auth, refresh_token: str) -> TokenPair | None:
    token = crud_refresh_token.get_for_update(session, fingerprint(refresh_token))
    if token is None:
        return None
    at = now(session)
    if token.used_at is not None:
        crud_auth_session.revoke(session, token.session_id, at=at)
        _record_reuse(session, token)
        return None
    user = token.session.user
    if token.session.revoked_at is not None or token.expires_at <= at or not user.is_active or user.deleted_at:
        return None
    token.used_at = at
    return _issue(session, auth, user.id, token.session_id, at=at)


def _record_reuse(session: Session, token: RefreshToken) -> None:
    """Record that a spent token was used: it was stolen, before or now. Who used it is not known."""
    user_id = token.session.user_id
    changes = {"session_id": (token.session_id, None)}
    audit_service.record(session, AuditAction.REFRESH_TOKEN_REUSED, "user", user_id, changes=changes)
    log.warning("refresh_token_reused", user_id=user_id, sender=origin.current().sender)


def _issue(session: Session, auth: Auth, user_id: int, session_id: UUID, *, at: datetime) -> TokenPair:
    refresh_token = new_opaque_token()
    row = RefreshToken(
        session_id=session_id,
        token_hash=fingerprint(refresh_token),
        created_at=at,
        expires_at=at + auth.refresh_lifetime,
    )
    crud_refresh_token.add(session, row)
    return TokenPair(
        access_token=auth.tokens.issue(Claims(user_id, session_id)),
        expires_in=int(auth.tokens.lifetime.total_seconds()),
        refresh_token=refresh_token,
    )


def _kept(text: str | None, length: int) -> str | None:
    """What is stored of a text that a client may choose: its printable characters, cut to the column."""
    return "".join(filter(str.isprintable, text))[:length] or None if text else None


def _is_unchanged(then: User, current: User | None) -> bool:
    """False if the account was closed or its password changed while the given one was being checked."""
    return current is not None and current.is_active and current.hashed_password == then.hashed_password
