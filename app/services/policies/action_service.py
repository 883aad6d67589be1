"""Performs the actions of an escalation step."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import DomainError
from app.services.messages.template import TemplateError
from app.services.policies.actions import assign, change_status, comment, notify, set_severity, webhook
from app.services.policies.actions.registry import ACTIONS, Context, StepResult

__all__ = ["KNOWN_ACTIONS", "Context", "StepResult", "perform"]

# Importing an action registers it.
KNOWN_ACTIONS = (notify, assign, change_status, webhook, comment, set_severity)


def perform(context: Context, actions: Sequence[Mapping[str, Any]]) -> StepResult:
    """Perform actions in their order. One that the domain refuses is noted, and the others go on."""
    result = StepResult()
    for action in actions:
        try:
            result += ACTIONS[action["type"]](context, action)
        except (DomainError, TemplateError) as error:
            outcome = {"type": action["type"], "error": str(error)}
            result += StepResult(outcomes=(outcome,), has_failed=True)
    return result
