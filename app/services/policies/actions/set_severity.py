"""Changes the incident's severity, and with it which policies match."""

from dataclasses import replace
from typing import Literal

from app.core.vocabulary import Severity
from app.crud import crud_event
from app.schemas.base import Input
from app.services import escalation
from app.services.incidents import incident_service
from app.services.policies.actions.registry import Action, StepResult, Stored, done, register
from app.services.policies.situation import Context, Trial


class SetSeverityAction(Input):
    """Change the severity. A step does so once in a cycle, so that policies cannot chase each other."""

    type: Literal["set_severity"]
    severity: Severity


@register
class SetSeverity(Action):
    model = SetSeverityAction

    def perform(self, context: Context, action: Stored) -> StepResult:
        """Change it once in a cycle by the same step: else two policies that end each other would never stop."""
        severity = Severity(action["severity"])
        is_repeated = crud_event.has_fired(context.session, context.escalation)
        if not is_repeated:
            changes = {"severity": severity}
            incident_service.change_fields(context.session, context.incident, changes, at=context.at, by=None)
        return done("set_severity", severity=severity, **({"skipped": "set_in_this_cycle"} if is_repeated else {}))

    def simulate(self, trial: Trial, action: Stored) -> None:
        """End the trial if its policy no longer matches: no further step fires."""
        severity = action["severity"]
        is_new = severity != trial.incident.severity
        trial.incident.severity = severity
        trial.facts = replace(trial.facts, severity=severity)
        trial.is_over = trial.is_over or (is_new and not escalation.matches(trial.conditions, trial.facts))
