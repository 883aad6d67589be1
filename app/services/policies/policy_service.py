"""Creates, changes and deletes escalation policies."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.errors import DuplicatePolicyName, NotFound
from app.crud import crud_policy, crud_policy_version
from app.crud.clock import now
from app.crud.violations import violations
from app.models import EscalationPolicy, EscalationPolicyVersion
from app.schemas.escalation import PolicyCreate, PolicyUpdate, dump_steps
from app.services.policies import policy_check_service, policy_record_service, rollout_service
from app.services.ports import Paging

log = structlog.get_logger()

VERSIONED = {"conditions", "steps", "repeat"}
NAME_IS_UNIQUE = "uq_escalation_policies_name"


def get(session: Session, policy_id: int) -> EscalationPolicy:
    """Raises NotFound."""
    return _found(crud_policy.get(session, policy_id), policy_id)


def create(session: Session, new: PolicyCreate, paging: Paging) -> EscalationPolicy:
    """Add a policy and start its escalation for the open incidents it matches.

    Raises DuplicatePolicyName, and InvalidInput if an action names a user who does not exist, a template that cannot
    be rendered, or a URL that must not be called.
    """
    steps = dump_steps(new.steps)
    policy_check_service.require_workable(session, steps, paging)
    at = now(session)
    policy = EscalationPolicy(
        name=new.name,
        description=new.description,
        conditions=new.conditions,
        steps=steps,
        is_active=new.is_active,
        repeat=new.repeat,
        runbook_url=new.runbook_url,
        version=1,
        created_at=at,
        updated_at=at,
    )
    with violations({NAME_IS_UNIQUE: _taken(new.name)}):
        crud_policy.add(session, policy)
    _add_version(session, policy, at=at)
    if policy.is_active:
        rollout_service.start(session, policy, at=at)
    policy_record_service.record_new(session, policy)
    log.info("policy_created", policy_id=policy.id)
    return policy


def update(session: Session, policy_id: int, update: PolicyUpdate, paging: Paging) -> EscalationPolicy:
    """Change a policy. Running escalations keep the steps they started with. Raises as `create` does, and NotFound."""
    policy = _found(crud_policy.get_for_update(session, policy_id), policy_id)
    at = now(session)
    changes: dict[str, Any] = update.changes()
    if "steps" in changes:
        changes["steps"] = dump_steps(update.steps)
        if changes["steps"] != policy.steps:
            policy_check_service.require_workable(session, changes["steps"], paging)
    with violations({NAME_IS_UNIQUE: _taken(update.name)}):
        old = crud_policy.apply(session, policy, changes, at=at)
    if VERSIONED & old.keys():
        policy.version += 1
        _add_version(session, policy, at=at)
    if "is_active" in old:
        rollout_service.start(session, policy, at=at)
    policy_record_service.record_change(session, policy, old)
    log.info("policy_updated", policy_id=policy.id, fields=sorted(old))
    return policy


def delete(session: Session, policy_id: int) -> EscalationPolicy:
    """Soft-delete a policy: events still refer to it, its escalations end, its name is free. Raises NotFound."""
    policy = _found(crud_policy.get_for_update(session, policy_id), policy_id)
    at = now(session)
    crud_policy.apply(session, policy, {"deleted_at": at}, at=at)
    rollout_service.start(session, policy, at=at)
    policy_record_service.record_deletion(session, policy)
    log.info("policy_deleted", policy_id=policy.id)
    return policy


def _add_version(session: Session, policy: EscalationPolicy, *, at: datetime) -> None:
    version = EscalationPolicyVersion(
        policy_id=policy.id,
        version=policy.version,
        conditions=policy.conditions,
        steps=policy.steps,
        repeat=policy.repeat,
        created_at=at,
    )
    crud_policy_version.add(session, version)


def _taken(name: str) -> DuplicatePolicyName:
    return DuplicatePolicyName(f"A policy named “{name}” already exists. Choose another name.")


def _found(policy: EscalationPolicy | None, policy_id: int) -> EscalationPolicy:
    if policy is None:
        raise NotFound(f"Escalation policy {policy_id} does not exist.")
    return policy
