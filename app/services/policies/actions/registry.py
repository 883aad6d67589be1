"""What an action is: what it is given, what comes back, and which there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from app.models import Escalation
from app.services.contacts.quiet import Occasion
from app.services.messages import message_service
from app.services.messages.message import page_facts
from app.services.notification_service import Call, Plan, Written, summary
from app.services.policies.situation import Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Situation):
    """What an action works on: a locked incident, and the escalation whose step fires.

    `written` keeps the pages of the step's actions by person and channel, so that none is written twice.
    """

    escalation: Escalation
    written: Written = field(default_factory=dict)

    @classmethod
    def of(cls, situation: Situation, row: Escalation) -> "Context":
        """The context of one step of a row's escalation."""
        shared = {each.name: getattr(situation, each.name) for each in fields(Situation)}
        return cls(**shared, escalation=row)

    @property
    def occasion(self) -> Occasion | None:
        """What people may have wanted quiet. What somebody asks for by hand never is."""
        return None if self.is_manual else Occasion(self.incident.severity, self.at)

    def facts(self) -> dict[str, Any]:
        """What the templates of actions can say: `incident` and `url`, as in a page."""
        facts = message_service.facts_of(self.incident)
        return page_facts(facts, note=None, url=self.paging.public_url, link=None)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the actions of a step did. `has_reached` is None if the step was not to page anybody."""

    planned: Plan = field(default_factory=Plan)
    has_reached: bool | None = None
    outcomes: tuple[dict[str, Any], ...] = ()
    has_failed: bool = False
    calls: tuple[Call, ...] = ()

    def __add__(self, other: "StepResult") -> "StepResult":
        reached = [result.has_reached for result in (self, other) if result.has_reached is not None]
        return StepResult(
            planned=self.planned + other.planned,
            has_reached=any(reached) if reached else None,
            outcomes=self.outcomes + other.outcomes,
            has_failed=self.has_failed or other.has_failed,
            calls=self.calls + other.calls,
        )

    def metadata(self) -> dict[str, Any]:
        """The result as the event keeps it."""
        return {"actions": list(self.outcomes), **summary(self.planned)}


Action = Callable[[Context, Mapping[str, Any]], StepResult]
ACTIONS: dict[str, Action] = {}


def register(*names: str) -> Callable[[Action], Action]:
    """Decorates a function that performs the actions of these types. What it raises of the domain is noted."""

    def add(action: Action) -> Action:
        for name in names:
            if name in ACTIONS:
                raise ValueError(f"there are two actions named {name}")
            ACTIONS[name] = action
        return action

    return add


def done(type_: str, **said: Any) -> StepResult:
    """The result of an action that pages nobody."""
    return StepResult(outcomes=({"type": type_, **said},))
