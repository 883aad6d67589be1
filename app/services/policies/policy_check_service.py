"""Checks whether a policy can work as it is written on this installation."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.core.channel import CHANNELS, WEBHOOK
from app.core.errors import InvalidInput
from app.crud import crud_user
from app.models import EscalationPolicy
from app.schemas.escalation import are_conditions, are_steps
from app.services.policies.actions.templates import broken_templates
from app.services.ports import Paging


def require_workable(session: Session, steps: list[dict[str, Any]], paging: Paging) -> None:
    """Raise InvalidInput for a template that cannot be rendered, a URL that may not be called, an unknown user."""
    _require_good_templates(steps)
    _require_allowed_urls(steps, paging)
    _require_known_users(session, steps)


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
