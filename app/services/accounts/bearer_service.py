"""Finds out who sends a request: the person of a login session, or the one for whom an API key acts."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from app.core.api_key import KeyProof
from app.core.errors import DomainError, NotAuthenticated
from app.core.security import Bearer, Claims
from app.crud import crud_user
from app.models import User
from app.services.accounts import api_key_service


def authenticate(session: Session, bearer: Bearer) -> User:
    """The active user of a login session that has not ended, or of a key that counts. Raises NotAuthenticated."""
    if isinstance(bearer, KeyProof):
        found = api_key_service.owners_of(session, [bearer])[bearer]
    else:
        found = crud_user.by_session(session, bearer.user_id, bearer.session_id) or _revoked()
    if isinstance(found, DomainError):
        raise found
    return found


def authenticate_all(session: Session, bearers: Collection[Bearer]) -> dict[Bearer, User | DomainError]:
    """Who sends each of many requests, or why not: one statement for all login sessions, and one for all keys."""
    found: dict[Bearer, User | DomainError] = {}
    logins = [bearer for bearer in bearers if isinstance(bearer, Claims)]
    if logins:
        users = crud_user.by_sessions(session, [claims.session_id for claims in logins])
        found |= {claims: _of_login(users.get(claims.session_id), claims) for claims in logins}
    if len(logins) < len(bearers):
        keys = [bearer for bearer in bearers if isinstance(bearer, KeyProof)]
        found.update(api_key_service.owners_of(session, keys).items())
    return found


def _of_login(user: User | None, claims: Claims) -> User | DomainError:
    return user if user is not None and user.id == claims.user_id else _revoked()


def _revoked() -> NotAuthenticated:
    return NotAuthenticated("The access token has been revoked.")
