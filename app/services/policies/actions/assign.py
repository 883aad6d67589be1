"""Assigns somebody."""

from typing import Literal

from app.schemas.base import Input
from app.schemas.types import Id, Word
from app.services.incidents import assignment_service, incident_service
from app.services.policies.actions.registry import Action, Mentions, StepResult, Stored, done, register
from app.services.policies.situation import Context, Trial


class AssignAction(Input):
    """Assign somebody to the incident."""

    type: Literal["assign"]
    user_id: Id
    role: Word = "responder"


@register
class Assign(Action):
    model = AssignAction

    def perform(self, context: Context, action: Stored) -> StepResult:
        user_id, role = action["user_id"], action.get("role", "responder")
        incident_service.require_active_user(context.session, user_id, pointer="/user_id")
        assignment_service.put_assignment(context.session, context.incident, user_id, role, at=context.at, by=None)
        return done("assign", user_id=user_id)

    def mentions(self, action: Stored) -> Mentions:
        return Mentions(users=(("user_id", action["user_id"]),))

    def simulate(self, trial: Trial, action: Stored) -> None:
        if action["user_id"] in trial.directory.users:
            trial.assigned.append(action["user_id"])
