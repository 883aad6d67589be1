"""Performs the actions of an escalation step, and tells whom they target."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import DomainError
from app.core.target import Target
from app.services.messages.template import TemplateError
from app.services.policies.actions.registry import ACTIONS, Paged, StepResult
from app.services.policies.situation import Context


def perform(context: Context, actions: Sequence[Mapping[str, Any]]) -> StepResult:
    """Perform the actions in order. One that the domain refuses is noted, and the others still run."""
    result = StepResult()
    for action in actions:
        try:
            result += ACTIONS.of(action).perform(context, action)
        except (DomainError, TemplateError) as error:
            outcome = {"type": action["type"], "error": str(error)}
            result += StepResult(outcomes=(outcome,), has_failed=True)
    return result


def only_reads(actions: Sequence[Mapping[str, Any]]) -> bool:
    """True if none of the actions writes anything itself. Raises if one is malformed."""
    return all(ACTIONS.of(action).only_reads for action in actions)


def targets(actions: Sequence[Mapping[str, Any]]) -> set[Target]:
    """Everybody whom actions page."""
    return {paged.target for action in actions for paged in pages_of(action)}


def changing_steps(steps: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """The steps that page nobody: their actions only change or record something."""
    return frozenset(number for number, step in enumerate(steps) if not any(map(_is_to_page, _actions(step))))


def _actions(step: Any) -> Sequence[Any]:
    """The actions of a step; none if it is malformed: it fails when it fires, not here."""
    actions = step.get("actions") if isinstance(step, Mapping) else None
    return actions if isinstance(actions, list) else []


def _is_to_page(action: Any) -> bool:
    try:
        return bool(pages_of(action))
    except Exception:  # noqa: BLE001 - its own step reports the error
        return False


def pages_of(action: Mapping[str, Any]) -> tuple[Paged, ...]:
    """Whom an action would page, and by which channels."""
    return ACTIONS.of(action).pages(action)
