"""Performs the actions of an escalation step. Each kind is one function, registered by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.errors import DomainError
from app.core.vocabulary import IncidentStatus
from app.models import Incident
from app.services import collaboration_service, incident_service, recipient_service
from app.services.incident import MOVES_TO
from app.services.notification_service import Plan, plan, summary
from app.services.ports import Paging


@dataclass(frozen=True, slots=True)
class Context:
    """What an action works on."""

    session: Session
    incident: Incident
    paging: Paging
    at: datetime


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the actions of a step did. `has_reached` is None if the step was not to page anybody."""

    planned: Plan = field(default_factory=Plan)
    has_reached: bool | None = None
    outcomes: tuple[dict[str, Any], ...] = ()
    has_failed: bool = False

    def metadata(self) -> dict[str, Any]:
        """The result as the event keeps it."""
        return {"actions": list(self.outcomes), **summary(self.planned)}


def perform(context: Context, actions: Sequence[Mapping[str, Any]]) -> StepResult:
    """Perform actions in their order. One that the domain refuses is noted, and the others go on."""
    result = StepResult()
    for action in actions:
        perform_one = ACTIONS[action["type"]]
        try:
            done = perform_one(context, action)
        except DomainError as error:
            done = StepResult(outcomes=({"type": action["type"], "error": str(error)},), has_failed=True)
        result = _together(result, done)
    return result


def _together(first: StepResult, second: StepResult) -> StepResult:
    reached = [r.has_reached for r in (first, second) if r.has_reached is not None]
    return StepResult(
        planned=first.planned + second.planned,
        has_reached=any(reached) if reached else None,
        outcomes=first.outcomes + second.outcomes,
        has_failed=first.has_failed or second.has_failed,
    )


def _notify(context: Context, action: Mapping[str, Any]) -> StepResult:
    target = action.get("target", "assignees")
    planned = Plan()
    for single in target if isinstance(target, list) else [target]:
        people = recipient_service.resolve(context.session, context.incident, single)
        named = [single] if single in CHANNELS else action.get("channels")
        planned += plan(
            context.session,
            context.incident,
            people,
            context.paging,
            at=context.at,
            named=named,
            note=action.get("message"),
        )
    outcome = {"type": "notify", "pages": len(planned.pages)}
    return StepResult(planned, has_reached=bool(planned.pages), outcomes=(outcome,))


def _assign(context: Context, action: Mapping[str, Any]) -> StepResult:
    user_id, role = action["user_id"], action.get("role", "responder")
    incident_service.require_active_user(context.session, user_id, pointer="/user_id")
    collaboration_service.put_assignment(context.session, context.incident, user_id, role, at=context.at, by=None)
    return StepResult(outcomes=({"type": "assign", "user_id": user_id},))


def _change_status(context: Context, action: Mapping[str, Any]) -> StepResult:
    wanted = IncidentStatus(action["status"])
    incident_service.move(
        context.session, context.incident, MOVES_TO[wanted], at=context.at, because=" by its escalation policy"
    )
    return StepResult(outcomes=({"type": "change_status", "status": wanted},))


ACTIONS: dict[str, Callable[[Context, Mapping[str, Any]], StepResult]] = {
    "notify": _notify,
    "assign": _assign,
    "change_status": _change_status,
    "status_change": _change_status,
}
