"""Keys for machines: makes, lists and revokes them, and finds out whose a key is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core import api_key
from app.core.api_key import KeyProof
from app.core.errors import DomainError, InvalidInput, NotAuthenticated, NotFound, PermissionDenied
from app.core.security import Passwords
from app.core.vocabulary import ApiKeyScope
from app.crud import crud_api_key
from app.crud.clock import now
from app.crud.crud_api_key import USE_NOTED_EVERY, FoundKey
from app.crud.pagination import Page, Slice
from app.models import ApiKey, User
from app.models.user import KeyRights
from app.schemas.api_key import ApiKeyCreate
from app.services import audit_service
from app.services.accounts.reauthentication_service import require_password, unchanged

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key and its record. The key itself is stored nowhere."""

    record: ApiKey
    key: str


def owners_of(session: Session, proofs: Collection[KeyProof]) -> dict[KeyProof, User | DomainError]:
    """The active owner of each key, as the key acts for them, or why the key is refused. One statement for all.

    Notes the use of keys whose last one was over a minute ago.
    """
    if not proofs:
        return {}
    found = crud_api_key.by_fingerprints(session, {proof.fingerprint for proof in proofs})
    owners = {proof: _owner_of(found.get(proof.fingerprint)) for proof in proofs}
    used = [found[proof.fingerprint] for proof, owner in owners.items() if isinstance(owner, User)]
    _note_use(session, used)
    return owners


def make(session: Session, user: User, new: ApiKeyCreate, passwords: Passwords) -> MadeKey:
    """Make a key that acts as this person. The scope `admin` needs an administrator and the current password.

    Raises PermissionDenied, InvalidInput, WrongPassword.
    """
    if ApiKeyScope.ADMIN in new.scopes:
        if not user.is_superuser:
            raise PermissionDenied("Only administrators may make a key with the scope admin. Leave the scope out.")
        require_password(user, new.current_password, passwords, what="A key with the scope admin")
    owner, at = unchanged(session, user), now(session)
    if new.expires_at is not None and new.expires_at <= at:
        raise InvalidInput("expires_at is in the past. Set a time to come, or leave it out.", pointer="/expires_at")
    key = api_key.new()
    record = ApiKey(
        name=new.name,
        scopes=[scope.value for scope in ApiKeyScope if scope in new.scopes],
        prefix=api_key.shown(key),
        fingerprint=api_key.proof_of(key).fingerprint,
        created_by=owner.id,
        created_at=at,
        expires_at=new.expires_at,
    )
    _record_new(session, crud_api_key.add(session, record))
    return MadeKey(record, key)


def list_keys(session: Session, part: Slice, *, user: User) -> Page[ApiKey]:
    """Keys that are not revoked, oldest first: one's own, or everybody's for administrators."""
    return crud_api_key.slice(session, part, owner_id=None if user.is_superuser else user.id)


def revoke(session: Session, key_id: int, *, user: User) -> ApiKey:
    """Revoke a key: one's own, or anybody's for administrators. Raises NotFound, also for somebody else's."""
    key = crud_api_key.get_for_update(session, key_id)
    if key is None or not (user.is_superuser or key.created_by == user.id):
        raise NotFound(f"There is no API key {key_id}.")
    _revoke(session, key, at=now(session))
    return key


def revoke_all_of(session: Session, user: User, *, at: datetime) -> Sequence[ApiKey]:
    """Revoke the keys of a locked account. Returns those that could still be used."""
    keys = crud_api_key.lock_all_of(session, user.id)
    for key in keys:
        _revoke(session, key, at=at)
    return [key for key in keys if not _has_expired(key, at=at)]


def _owner_of(found: FoundKey | None) -> User | DomainError:
    if found is None:
        log.warning("api_key_refused", reason="unknown")
        return NotAuthenticated("There is no such API key.")
    key, owner, at = found
    refusal = _refusal(key, owner, at=at)
    if refusal is None:
        return owner.by_key(KeyRights(key.id, frozenset(key.scopes)))
    reason, said = refusal
    log.warning("api_key_refused", reason=reason, api_key_id=key.id)
    return NotAuthenticated(said)


def _refusal(key: ApiKey, owner: User, *, at: datetime) -> tuple[str, str] | None:
    """Why a key does not count: for the log, and for whoever sends it."""
    if key.revoked_at is not None:
        return "revoked", "The API key has been revoked."
    if _has_expired(key, at=at):
        return "expired", "The API key has expired. Make a new one."
    if not owner.is_active or owner.deleted_at is not None:
        return "owner_inactive", "The API key has ended, because the account of its owner is not active."
    return None


def _has_expired(key: ApiKey, *, at: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= at


def _note_use(session: Session, used: Sequence[FoundKey]) -> None:
    due = [(key.id, at) for key, _, at in used if key.last_used_at is None or key.last_used_at <= at - USE_NOTED_EVERY]
    if due:
        crud_api_key.note_use(session, [key_id for key_id, _ in due], at=due[0][1])


def _record_new(session: Session, key: ApiKey) -> None:
    expires_at = key.expires_at.isoformat() if key.expires_at is not None else None
    changes = {"name": (None, key.name), "scopes": (None, key.scopes), "expires_at": (None, expires_at)}
    audit_service.record(session, "api_key.created", "api_key", key.id, changes=changes)
    log.info("api_key_created", api_key_id=key.id, user_id=key.created_by, scopes=key.scopes)


def _revoke(session: Session, key: ApiKey, *, at: datetime) -> None:
    key.revoked_at = at
    session.flush()
    changes = {"revoked_at": (None, at.isoformat())}
    audit_service.record(session, "api_key.revoked", "api_key", key.id, changes=changes)
    log.info("api_key_revoked", api_key_id=key.id, user_id=key.created_by)
