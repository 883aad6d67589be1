"""Keeps escalation policies, and carries a policy that is switched on or off to the open incidents."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS, WEBHOOK
from app.core.errors import DuplicatePolicyName, InvalidInput, NotFound
from app.core.vocabulary import IncidentStatus
from app.crud import crud_event, crud_incident, crud_policy, crud_policy_version, crud_user
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.crud.pagination import Slice
from app.crud.violations import violations
from app.models import EscalationEvent, EscalationPolicy, EscalationPolicyVersion, Incident, User
from app.schemas.escalation import PolicyCreate, PolicyUpdate, are_conditions, are_steps, dump_steps
from app.services import escalation_service
from app.services.incidents import collaboration_service, incident_service
from app.services.policies.actions.templates import broken_templates
from app.services.ports import Paging

log = structlog.get_logger()

VERSIONED = {"conditions", "steps", "repeat"}
SPREAD_BATCH = 500
SHOWN = 10
NAME_IS_UNIQUE = "uq_escalation_policies_name"
FIRST_ID = 0
LAST_ID = 2**31 - 1


def get(session: Session, policy_id: int) -> EscalationPolicy:
    """Raises NotFound."""
    return _found(crud_policy.get(session, policy_id), policy_id)


def list_policies(session: Session, part: Slice) -> Sequence[EscalationPolicy]:
    """Policies, oldest first."""
    return crud_policy.slice(session, part)


def create(session: Session, new: PolicyCreate, paging: Paging) -> EscalationPolicy:
    """Add a policy and begin its escalation of the open incidents it matches.

    Raises DuplicatePolicyName, and InvalidInput if an action names a user who does not exist, has a template that
    cannot be rendered or a URL that may not be called.
    """
    steps = dump_steps(new.steps)
    require_workable(session, steps, paging)
    at = now(session)
    policy = EscalationPolicy(
        name=new.name,
        description=new.description,
        conditions=new.conditions,
        steps=steps,
        is_active=new.is_active,
        repeat=new.repeat,
        version=1,
        created_at=at,
        updated_at=at,
    )
    with violations({NAME_IS_UNIQUE: _taken(new.name)}):
        crud_policy.add(session, policy)
    _add_version(session, policy, at=at)
    if policy.is_active:
        _begin_spreading(session, policy)
    log.info("policy_created", policy_id=policy.id)
    return policy


def update(session: Session, policy_id: int, update: PolicyUpdate, paging: Paging) -> EscalationPolicy:
    """Change a policy. Escalations that run keep the steps they began with. Raises as `create` does, and NotFound."""
    policy = _found(crud_policy.get_for_update(session, policy_id), policy_id)
    at = now(session)
    changes: dict[str, Any] = update.changes()
    if "steps" in changes:
        changes["steps"] = dump_steps(update.steps)
        if changes["steps"] != policy.steps:
            require_workable(session, changes["steps"], paging)
    with violations({NAME_IS_UNIQUE: _taken(update.name)}):
        old = crud_policy.apply(session, policy, changes, at=at)
    if VERSIONED & old.keys():
        policy.version += 1
        _add_version(session, policy, at=at)
    if "is_active" in old:
        _begin_spreading(session, policy)
    log.info("policy_updated", policy_id=policy.id, fields=sorted(old))
    return policy


def delete(session: Session, policy_id: int) -> EscalationPolicy:
    """Delete softly: events keep pointing at it, its escalations end, its name is free. Raises NotFound."""
    policy = _found(crud_policy.get_for_update(session, policy_id), policy_id)
    at = now(session)
    crud_policy.apply(session, policy, {"deleted_at": at}, at=at)
    _begin_spreading(session, policy)
    log.info("policy_deleted", policy_id=policy.id)
    return policy


def spread_next(session: Session, put_off: set[int]) -> int:
    """Carry a change one batch further through the incidents. Returns 1, or 0 when there is nothing to do now.

    Waits for nobody. A policy that cannot go on because of what others hold joins those that are `put_off`, which are
    left alone.
    """
    wait_briefly(session)
    policy = crud_policy.claim_spreading(session, beside=put_off)
    if policy is None:
        return 0
    is_new = policy.spread_after == FIRST_ID
    goes_on = (not is_new or crud_policy.wait_for_readers(session)) and _spread(session, policy, at=now(session))
    if not goes_on:
        put_off.add(policy.id)
        log.info("policy_spread_waits", policy_id=policy.id, incident_ids=policy.spread_held[:SHOWN])
    return 1


def warnings(policy: EscalationPolicy, set_up: frozenset[str]) -> list[str]:
    """What will not work as written on this installation."""
    if not (are_conditions(policy.conditions) and are_steps(policy.steps)):
        return ["This policy is malformed, so that its steps may fail: write its conditions and steps anew."]
    named = {channel for step in policy.steps for action in step["actions"] for channel in _channels_of(action)}
    only = "An action that names only such channels pages by the one that each person puts first."
    missing = sorted(named - set_up)
    return [f"The channel {channel} is not set up here: nobody is paged by it. {only}" for channel in missing]


def _channels_of(action: Mapping[str, Any]) -> set[str]:
    """The channels that an action names, also as its target."""
    target = action.get("target")
    targets = target if isinstance(target, list) else [target]
    return {*action.get("channels", ()), *(single for single in targets if single in CHANNELS)}


def require_workable(session: Session, steps: list[dict[str, Any]], paging: Paging) -> None:
    """Raise InvalidInput for a template that cannot be rendered, a URL that may not be called, an unknown user."""
    _require_good_templates(steps)
    _require_allowed_urls(steps, paging)
    _require_known_users(session, steps)


def events(session: Session, incident_id: int, part: Slice, *, user: User) -> Sequence[EscalationEvent]:
    """The steps that fired for an incident, oldest first. Raises NotFound, PermissionDenied."""
    collaboration_service.require_responder(session, incident_service.get(session, incident_id), user)
    return crud_event.slice(session, incident_id, part)


def _begin_spreading(session: Session, policy: EscalationPolicy) -> None:
    """Do the first batch at once, and let the worker go over all of them again when this is committed.

    An incident that another transaction opens meanwhile sees this change as little as this one sees the incident.
    """
    policy.spread_after, policy.spread_held = FIRST_ID, []
    _spread(session, policy, at=now(session))
    policy.spread_after, policy.spread_held = FIRST_ID, []


def _spread(session: Session, policy: EscalationPolicy, *, at: datetime) -> bool:
    """Carry a change to the next incidents, and in the end to those that somebody held. False if they still do."""
    is_on = policy.is_active and policy.deleted_at is None
    after = policy.spread_after or FIRST_ID
    if is_on:
        window = crud_incident.open_after(session, after, limit=SPREAD_BATCH)
    else:
        window = crud_incident.escalated_by_after(session, policy.id, after, limit=SPREAD_BATCH)
    ids = set(window or policy.spread_held[:SPREAD_BATCH])
    free = crud_incident.lock_unheld(session, ids)
    if is_on:
        _start_on(session, policy, free.values(), at=at)
    else:
        _end_on(session, policy, free.values(), at=at)
    policy.spread_held = [*(id_ for id_ in policy.spread_held if id_ not in ids), *sorted(ids - free.keys())]
    policy.spread_after = _next_place(policy, window)
    session.flush()
    return bool(window or free or not policy.spread_held)


def _next_place(policy: EscalationPolicy, window: Sequence[int]) -> int | None:
    """After which id it goes on; None when it has come to every incident."""
    if len(window) == SPREAD_BATCH:
        return window[-1]
    return LAST_ID if policy.spread_held else None


def _start_on(session: Session, policy: EscalationPolicy, incidents: Iterable[Incident], *, at: datetime) -> None:
    still_open = [incident for incident in incidents if incident.status is IncidentStatus.OPEN]
    escalation_service.start_policy(session, still_open, crud_policy.current(session, policy.id), at=at)


def _end_on(session: Session, policy: EscalationPolicy, incidents: Iterable[Incident], *, at: datetime) -> None:
    reason = "the policy was deleted." if policy.deleted_at else "the policy was switched off."
    for incident in incidents:
        for row in incident.escalations:
            if row.policy_id == policy.id and incident.status is not IncidentStatus.RESOLVED:
                escalation_service.end(session, incident, row, at=at, reason=reason)


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


def _require_good_templates(steps: list[dict[str, Any]]) -> None:
    """Raise InvalidInput, naming the field, for the first template that cannot be rendered."""
    for s, step in enumerate(steps):
        for a, action in enumerate(step["actions"]):
            for place, reason in broken_templates(action):
                raise InvalidInput(reason, pointer=f"/steps/{s}/actions/{a}/{place}")


def _require_allowed_urls(steps: list[dict[str, Any]], paging: Paging) -> None:
    """Raise InvalidInput, naming the field, for the first URL that leads to where this installation must not call."""
    webhook = CHANNELS[WEBHOOK]
    urls = {
        f"/steps/{s}/actions/{a}/url": action["url"]
        for s, step in enumerate(steps)
        for a, action in enumerate(step["actions"])
        if "url" in action
    }
    for pointer, url in urls.items():
        try:
            webhook.clean_address(url, paging.settings_of(webhook))
        except ValueError as error:
            raise InvalidInput(str(error), pointer=pointer) from error


def _require_known_users(session: Session, steps: list[dict[str, Any]]) -> None:
    """Raise InvalidInput, naming the field, for the first action that names a user who is not active."""
    named = [
        (f"/steps/{s}/actions/{a}/{place}", value)
        for s, step in enumerate(steps)
        for a, action in enumerate(step["actions"])
        for place, value in _users_of(action)
    ]
    known = {user.id for user in crud_user.active(session, [user_id for _, user_id in named])}
    for pointer, user_id in named:
        if user_id not in known:
            raise InvalidInput(f"There is no active user {user_id}.", pointer=pointer)


def _users_of(action: dict[str, Any]) -> list[tuple[str, int]]:
    """The users that an action names by their ids, and where."""
    target = action.get("target")
    listed = [(f"target/{index}", one) for index, one in enumerate(target)] if isinstance(target, list) else []
    named = [("user_id", action.get("user_id")), ("target", target), *listed]
    return [(place, value) for place, value in named if isinstance(value, int)]


def _taken(name: str) -> DuplicatePolicyName:
    return DuplicatePolicyName(f"There is a policy named “{name}” already.")


def _found(policy: EscalationPolicy | None, policy_id: int) -> EscalationPolicy:
    if policy is None:
        raise NotFound(f"There is no escalation policy {policy_id}.")
    return policy
