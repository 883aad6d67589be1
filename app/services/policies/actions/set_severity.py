"""Changes the incident's severity, and with it which policies match."""

from collections.abc import Mapping
from typing import Any

from app.core.vocabulary import Severity
from app.crud import crud_event
from app.services.incidents import incident_service
from app.services.policies.actions.registry import Context, StepResult, done, register


@register("set_severity")
def set_severity(context: Context, action: Mapping[str, Any]) -> StepResult:
    """Once in a cycle by the same step: else two policies, each of which ends the other, would go on for ever."""
    severity = Severity(action["severity"])
    is_repeated = crud_event.has_fired(context.session, context.escalation)
    if not is_repeated:
        changes = {"severity": severity}
        incident_service.change_fields(context.session, context.incident, changes, at=context.at, by=None)
    return done("set_severity", severity=severity, **({"skipped": "set_in_this_cycle"} if is_repeated else {}))
