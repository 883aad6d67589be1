"""Records in the audit log how escalation policies change."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.models import EscalationPolicy
from app.services import audit_service
from app.services.audit_service import Audited
from app.services.contacts.address import HIDDEN, masked

POLICY = "policy"
SHOWN = ("name", "description", "conditions", "steps", "is_active", "repeat", "runbook_url")


def record_new(session: Session, policy: EscalationPolicy) -> None:
    """Record a new policy."""
    fields = {name: (None, shown(getattr(policy, name))) for name in SHOWN}
    audit_service.record(session, AuditAction.POLICY_CREATED, POLICY, policy.id, changes=fields)


def record_change(session: Session, policy: EscalationPolicy, old: Mapping[str, Any]) -> None:
    """Record what changed in a policy, given as attribute -> old value."""
    audit_service.record_all(session, list(_by_kind(policy, old)))


def record_deletion(session: Session, policy: EscalationPolicy) -> None:
    """Record that a policy was deleted, and what it was."""
    fields = {name: (shown(getattr(policy, name)), None) for name in SHOWN}
    audit_service.record(session, AuditAction.POLICY_DELETED, POLICY, policy.id, changes=fields)


def shown(value: Any) -> Any:
    """A field as the log shows it: the path and the body of a webhook may hold a secret."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: shown(item) for name, item in value.items()}
    if kept.get("type") == "webhook":
        kept |= {"url": masked(str(value.get("url", "")))}
        kept |= {"body": HIDDEN} if kept.get("body") is not None else {}
    return kept


def _by_kind(policy: EscalationPolicy, old: Mapping[str, Any]) -> Iterator[Audited]:
    rest = {name: (shown(before), shown(getattr(policy, name))) for name, before in old.items() if name != "is_active"}
    if "is_active" in old:
        action = AuditAction.POLICY_SWITCHED_ON if policy.is_active else AuditAction.POLICY_SWITCHED_OFF
        yield Audited(action, POLICY, policy.id, {"is_active": (old["is_active"], policy.is_active)})
    if rest:
        yield Audited(AuditAction.POLICY_UPDATED, POLICY, policy.id, rest)
