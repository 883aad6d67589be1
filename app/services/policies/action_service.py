"""Performs the actions of an escalation step, and says whom they mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import DomainError
from app.services.messages.template import TemplateError
from app.services.policies.actions.registry import ACTIONS, Paged, StepResult
from app.services.policies.situation import Context


def perform(context: Context, actions: Sequence[Mapping[str, Any]]) -> StepResult:
    """Perform actions in their order. One that the domain refuses is noted, and the others go on."""
    result = StepResult()
    for action in actions:
        try:
            result += ACTIONS.of(action).perform(context, action)
        except (DomainError, TemplateError) as error:
            outcome = {"type": action["type"], "error": str(error)}
            result += StepResult(outcomes=(outcome,), has_failed=True)
    return result


def pages_of(action: Mapping[str, Any]) -> tuple[Paged, ...]:
    """Whom an action would page, and by which channels."""
    return ACTIONS.of(action).pages(action)
