"""The protocol of an action, its arguments and results, and the registry of all actions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from app.core.target import Target
from app.schemas.action import MODELS, types_of
from app.schemas.base import Input
from app.services.notification import Person
from app.services.notification_service import Call, Plan, summary
from app.services.policies.situation import Context, Trial

Stored = Mapping[str, Any]  # an action as stored in a policy, in the shape of its model when it was saved


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the actions of a step did. `has_reached` is None if the step has nobody to page."""

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
        """The result as stored in the event."""
        return {"actions": list(self.outcomes), **summary(self.planned)}


class Paged(NamedTuple):
    """A target that an action pages, and the channels it names for it."""

    target: Target
    channels: Sequence[str] | None


class Addressee(NamedTuple):
    """Somebody whom an action would page, and the channels it names for them."""

    person: Person
    channels: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Mentions:
    """What an action names that may not work on this installation, each with the end of its JSON pointer."""

    users: tuple[tuple[str, int], ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    urls: tuple[tuple[str, str], ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    channels: frozenset[str] = frozenset()


class Action(Protocol):
    """Something a step can do. Each action has a file in this folder, which registers one instance.

    It gets the action as stored in the policy, which may be older than its model. If it raises a domain error, that
    is noted, and the step's other actions still run.
    """

    @property
    def model(self) -> type[Input]:
        """The action on the wire. Every value of its `type` means this action."""
        ...

    @property
    def only_reads(self) -> bool:
        """True if it writes nothing itself: then the steps of many incidents can be performed together."""
        return False

    def perform(self, context: Context, action: Stored) -> StepResult:
        """Do it, in the transaction of the step. What is sent goes through the outbox."""
        ...

    def mentions(self, action: Stored) -> Mentions:
        """What it names, for the checks when a policy is saved. A trial's directory has these users."""
        return Mentions()

    def pages(self, action: Stored) -> tuple[Paged, ...]:
        """Whom it would page. A trial's directory has these targets."""
        return ()

    def simulate(self, trial: Trial, action: Stored) -> list[Addressee] | None:
        """Do the same to a trial. Returns whom it would page; None if it does not page."""
        return None


class Registry:
    """The actions of this version, by their types."""

    def __init__(self) -> None:
        self._by_type: dict[str, Action] = {}

    def add(self, action: Action) -> None:
        for name in types_of(action.model):
            if name in self._by_type:
                raise ValueError(f"two actions are named {name}")
            self._by_type[name] = action
        MODELS.add(action.model)

    def remove(self, action: Action) -> None:
        for name in types_of(action.model):
            del self._by_type[name]
        MODELS.remove(action.model)

    def of(self, action: Stored) -> Action:
        """The action that handles a stored one. Raises KeyError."""
        return self._by_type[action["type"]]


ACTIONS = Registry()
Registered = TypeVar("Registered", bound=Action)


def register(action: type[Registered]) -> type[Registered]:
    """Class decorator that registers an Action, so that policies can use it."""
    ACTIONS.add(action())
    return action


def done(type_: str, **said: Any) -> StepResult:
    """The result of an action that pages nobody."""
    return StepResult(outcomes=({"type": type_, **said},))


def texts_of(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each text in a JSON value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, item in items:
            yield from texts_of(item, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
