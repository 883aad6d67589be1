"""What an action is: what it is given, what comes back, and which there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from app.core.target import Target
from app.schemas.action import MODELS, types_of
from app.schemas.base import Input
from app.services.notification import Person
from app.services.notification_service import Call, Plan, summary
from app.services.policies.situation import Context, Trial

Stored = Mapping[str, Any]  # an action as a policy keeps it: as its model was when it was saved


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


class Paged(NamedTuple):
    """A target that an action pages, and the channels that it names for it."""

    target: Target
    channels: Sequence[str] | None


class Addressee(NamedTuple):
    """Somebody whom an action would page, and the channels that it names for them."""

    person: Person
    channels: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Mentions:
    """What an action names that can be wrong on this installation, each with its place as the end of a JSON pointer."""

    users: tuple[tuple[str, int], ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    urls: tuple[tuple[str, str], ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    channels: frozenset[str] = frozenset()


class Action(Protocol):
    """What a step can do. Each has a file in this folder, which registers one instance.

    It is given an action as the policy keeps it, which may be older than its model; an error of the domain that it
    raises is noted, and the step's other actions go on.
    """

    @property
    def model(self) -> type[Input]:
        """The action on the wire: each value of its `type` stands for it."""
        ...

    def perform(self, context: Context, action: Stored) -> StepResult:
        """Do it, in the transaction of the step. What is sent goes through the outbox."""
        ...

    def mentions(self, action: Stored) -> Mentions:
        """What it names, to be checked when a policy is saved."""
        return Mentions()

    def pages(self, action: Stored) -> tuple[Paged, ...]:
        """Whom it would page."""
        return ()

    def simulate(self, trial: Trial, action: Stored) -> list[Addressee] | None:
        """Do to a trial what it would do. Returns whom it would page; None if that is not what it is for."""
        return None


class Registry:
    """The actions of this version, by their types."""

    def __init__(self) -> None:
        self._by_type: dict[str, Action] = {}

    def add(self, action: Action) -> None:
        for name in types_of(action.model):
            if name in self._by_type:
                raise ValueError(f"there are two actions named {name}")
            self._by_type[name] = action
        MODELS.add(action.model)

    def remove(self, action: Action) -> None:
        for name in types_of(action.model):
            del self._by_type[name]
        MODELS.remove(action.model)

    def of(self, action: Stored) -> Action:
        """Who does a stored action. Raises KeyError."""
        return self._by_type[action["type"]]


ACTIONS = Registry()
Registered = TypeVar("Registered", bound=Action)


def register(action: type[Registered]) -> type[Registered]:
    """Decorates an Action: from now on policies can have it."""
    ACTIONS.add(action())
    return action


def done(type_: str, **said: Any) -> StepResult:
    """The result of an action that pages nobody."""
    return StepResult(outcomes=({"type": type_, **said},))


def texts_of(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each text within JSON, and its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, item in items:
            yield from texts_of(item, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
