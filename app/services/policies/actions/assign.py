"""Makes somebody an assignee."""

from collections.abc import Mapping
from typing import Any

from app.services.incidents import collaboration_service, incident_service
from app.services.policies.actions.registry import Context, StepResult, done, register


@register("assign")
def assign(context: Context, action: Mapping[str, Any]) -> StepResult:
    user_id, role = action["user_id"], action.get("role", "responder")
    incident_service.require_active_user(context.session, user_id, pointer="/user_id")
    collaboration_service.put_assignment(context.session, context.incident, user_id, role, at=context.at, by=None)
    return done("assign", user_id=user_id)
