"""Pages people."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from app.core.target import ASSIGNEES, MailAddress, OnChannel, Target, UserId, parse_all
from app.schemas.base import Input
from app.schemas.target import Channels, Targets
from app.schemas.types import Storable
from app.services.contacts.quiet import Occasion
from app.services.notification_service import Plan, plan
from app.services.policies.actions.registry import Action, Addressee, Mentions, Paged, StepResult, Stored, register
from app.services.policies.situation import Context, Trial


class NotifyAction(Input):
    """Page people. Without `channels`, each person's preferences decide. Duplicates count once."""

    type: Literal["notify"]
    target: Targets = Field(
        default="assignees",
        description="`assignees`, `creator`, `admins`, `all`, a user's id, an e-mail address, a list of those, or a "
        "channel's name: the assignees on that channel",
    )
    channels: Channels | None = None
    message: Annotated[str, StringConstraints(max_length=2000), Storable] | None = None


@register
class Notify(Action):
    model = NotifyAction
    only_reads = True

    def perform(self, context: Context, action: Stored) -> StepResult:
        planned, is_anybody = Plan(), False
        for target in _targets(action):
            people = context.people(target)
            is_anybody = is_anybody or any(person.is_active for person in people)
            named, note = _channels(action, target), action.get("message")
            planned += plan(context.session, context.about, people, named=named, note=note, before=context.written)
        outcome: dict[str, Any] = {"type": "notify", "pages": len(planned.pages)}
        if not is_anybody:
            outcome["skipped"] = "no_active_person"
        return StepResult(planned, has_reached=bool(planned.pages), outcomes=(outcome,))

    def mentions(self, action: Stored) -> Mentions:
        targets = _targets(action)
        place = "target/{}" if isinstance(action.get("target"), list) else "target"
        users = tuple((place.format(i), target.id) for i, target in enumerate(targets) if isinstance(target, UserId))
        addresses = tuple(
            (place.format(i), target.address) for i, target in enumerate(targets) if isinstance(target, MailAddress)
        )
        by_target = [target.channel for target in targets if isinstance(target, OnChannel)]
        channels = frozenset([*(action.get("channels") or ()), *by_target])
        return Mentions(users=users, addresses=addresses, channels=channels)

    def pages(self, action: Stored) -> tuple[Paged, ...]:
        return tuple(Paged(target, _channels(action, target)) for target in _targets(action))

    def simulate(self, trial: Trial, action: Stored) -> list[Addressee]:
        """The people it targets, including those whom an earlier action would have assigned."""
        occasion = Occasion(trial.incident.severity, trial.at)
        found, to_come = [], []
        for target, channels in self.pages(action):
            found += [Addressee(person, channels) for person in trial.directory.people(target, occasion)]
            if target == ASSIGNEES or isinstance(target, OnChannel):
                assigned = trial.directory.active(trial.assigned, occasion)
                to_come += [Addressee(person, channels) for person in assigned]
        return found + to_come


def _targets(action: Stored) -> tuple[Target, ...]:
    return parse_all(action.get("target", ASSIGNEES.name))


def _channels(action: Stored, target: Target) -> list[str]:
    """The channels that the action names for a target, without duplicates."""
    return [target.channel] if isinstance(target, OnChannel) else list(dict.fromkeys(action.get("channels") or ()))
