"""Checks whether a policy can work as written on this installation."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core.channel import CHANNELS, WEBHOOK
from app.core.errors import InvalidInput
from app.crud import crud_user
from app.services.messages import template
from app.services.messages.template import TemplateError
from app.services.policies.actions.registry import ACTIONS, Mentions
from app.services.ports import Paging

Mentioned = Sequence[tuple[str, Mentions]]  # with the JSON pointer to each action


def require_workable(session: Session, steps: list[dict[str, Any]], paging: Paging) -> None:
    """Raise InvalidInput for a template that cannot be rendered, a forbidden URL, or an unknown user."""
    mentioned = _mentioned(steps)
    _require_good_templates(mentioned)
    _require_allowed_urls(mentioned, paging)
    _require_known_users(session, mentioned)


def _require_good_templates(mentioned: Mentioned) -> None:
    """Raise InvalidInput, naming the field, for the first template that cannot be rendered."""
    for pointer, mentions in mentioned:
        for place, source in mentions.templates:
            try:
                template.check(source)
            except TemplateError as error:
                raise InvalidInput(str(error), pointer=f"{pointer}/{place}") from error


def _require_allowed_urls(mentioned: Mentioned, paging: Paging) -> None:
    """Raise InvalidInput, naming the field, for the first URL that this installation must not call."""
    webhook = CHANNELS[WEBHOOK]
    for pointer, mentions in mentioned:
        for place, url in mentions.urls:
            try:
                webhook.clean_address(url, paging.settings_of(webhook))
            except ValueError as error:
                raise InvalidInput(str(error), pointer=f"{pointer}/{place}") from error


def _require_known_users(session: Session, mentioned: Mentioned) -> None:
    """Raise InvalidInput, naming the field, for the first action that names a user who is not active."""
    named = [(f"{pointer}/{place}", user_id) for pointer, mentions in mentioned for place, user_id in mentions.users]
    known = {user.id for user in crud_user.active(session, [user_id for _, user_id in named])}
    for pointer, user_id in named:
        if user_id not in known:
            raise InvalidInput(f"User {user_id} does not exist or is not active. Name an active user.", pointer=pointer)


def _mentioned(steps: Sequence[Mapping[str, Any]]) -> Mentioned:
    """What each action names, with the JSON pointer to the action."""
    return [
        (f"/steps/{s}/actions/{a}", ACTIONS.of(action).mentions(action))
        for s, step in enumerate(steps)
        for a, action in enumerate(step["actions"])
    ]
