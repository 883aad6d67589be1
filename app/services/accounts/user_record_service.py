"""Records in the audit log how accounts change. Never what a password is."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.models import User
from app.services import audit_service
from app.services.audit_service import Audited, changed

USER = "user"
PASSWORD = "hashed_password"  # noqa: S105 - the name of a column
SHOWN = ("email", "full_name", "phone_number", "is_active", "is_superuser", "role", "is_address_proved")
RIGHTS = frozenset({"is_superuser", "role"})


def record_new(session: Session, user: User, action: AuditAction, *, actor_id: int | None = None) -> None:
    """Record a new account."""
    fields = {name: (None, getattr(user, name)) for name in SHOWN}
    audit_service.record(session, action, USER, user.id, changes=fields, actor_id=actor_id)


def record_change(session: Session, user: User, old: Mapping[str, Any], action: AuditAction | None = None) -> None:
    """Record what changed in an account, given as attribute -> old value: as one action, or by the kind of field."""
    if not old:
        return
    if action is None:
        audit_service.record_all(session, list(_by_kind(user, old)))
    else:
        audit_service.record(session, action, USER, user.id, changes=changed(_without_password(old), user))


def record_reset(session: Session, user: User, old: Mapping[str, Any]) -> None:
    """Record a password that was reset with a mailed token: whoever has that acts as the user."""
    changes = changed(_without_password(old), user)
    audit_service.record(session, AuditAction.USER_PASSWORD_RESET, USER, user.id, changes=changes, actor_id=user.id)


def record_deletion(session: Session, user: User) -> None:
    """Record that an account was deleted, and whose it was."""
    fields = {name: (getattr(user, name), None) for name in ("email", "full_name")}
    audit_service.record(session, AuditAction.USER_DELETED, USER, user.id, changes=fields)


def _by_kind(user: User, old: Mapping[str, Any]) -> Iterator[Audited]:
    rights = {name: value for name, value in old.items() if name in RIGHTS}
    rest = {name: value for name, value in old.items() if name not in {*RIGHTS, PASSWORD, "is_active"}}
    if "is_active" in old:
        action = AuditAction.USER_ACTIVATED if user.is_active else AuditAction.USER_DEACTIVATED
        yield Audited(action, USER, user.id, changed({"is_active": old["is_active"]}, user))
    if rights:
        yield Audited(AuditAction.USER_RIGHTS_CHANGED, USER, user.id, changed(rights, user))
    if PASSWORD in old:
        yield Audited(AuditAction.USER_PASSWORD_CHANGED, USER, user.id)
    if rest:
        yield Audited(AuditAction.USER_UPDATED, USER, user.id, changed(rest, user))


def _without_password(old: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in old.items() if name != PASSWORD}
