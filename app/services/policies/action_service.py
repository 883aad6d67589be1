"""Performs the actions of an escalation step, and says whom they mean."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import DomainError
from app.models import Incident
from app.services.contacts.quiet import Occasion
from app.services.messages.template import TemplateError
from app.services.policies.actions.registry import ACTIONS, Addressee, StepResult
from app.services.policies.situation import Context
from app.services.ports import Paging


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


def addressees(
    session: Session, incident: Incident, action: Mapping[str, Any], paging: Paging, occasion: Occasion | None
) -> Iterator[Addressee]:
    """The people whom an action would page now, each with the channels that it names for them."""
    return ACTIONS.of(action).addressees(session, incident, action, paging, occasion)
