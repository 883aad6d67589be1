"""Moves the incident to another status."""

from typing import Literal

from app.core.vocabulary import IncidentStatus
from app.schemas.base import Input
from app.services.incidents import lifecycle_service
from app.services.incidents.incident import MOVES_TO, MoveRequest
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
        move = MoveRequest(MOVES_TO[wanted], context.at, is_by_policy=True)
        because = f" by policy “{context.escalation.version.policy.name}”"
        lifecycle_service.move(context.session, context.incident, move, because=because)
        return done("change_status", status=wanted)

    def simulate(self, trial: Trial, action: Stored) -> None:
        trial.has_ended = trial.has_ended or action["status"] in ENDING
        trial.is_over = trial.is_over or trial.has_ended
