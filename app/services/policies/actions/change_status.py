"""Moves the incident to another status."""

from typing import Literal

from app.core.vocabulary import IncidentStatus
from app.schemas.base import Input
from app.services.incidents import incident_service
from app.services.incidents.incident import MOVES_TO
from app.services.policies.actions.registry import Action, StepResult, Stored, done, register
from app.services.policies.situation import Context, Trial

ENDING = {IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED}


class ChangeStatusAction(Input):
    """Move the incident to another status."""

    type: Literal["change_status", "status_change"]
    status: Literal["open", "acknowledged", "resolved"]


@register
class ChangeStatus(Action):
    model = ChangeStatusAction

    def perform(self, context: Context, action: Stored) -> StepResult:
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

    def simulate(self, trial: Trial, action: Stored) -> None:
        trial.is_over = trial.is_over or action["status"] in ENDING
