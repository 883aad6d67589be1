"""Moves the incident to another status."""

from collections.abc import Mapping
from typing import Any

from app.core.vocabulary import IncidentStatus
from app.services.incidents import incident_service
from app.services.incidents.incident import MOVES_TO
from app.services.policies.actions.registry import Context, StepResult, done, register


@register("change_status", "status_change")
def change_status(context: Context, action: Mapping[str, Any]) -> StepResult:
    wanted = IncidentStatus(action["status"])
    incident_service.move(
        context.session,
        context.incident,
        MOVES_TO[wanted],
        at=context.at,
        because=" by its escalation policy",
        is_by_policy=True,
    )
    return done("change_status", status=wanted)
