"""Decides which of many policies match an incident, without evaluating each of them every time."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from app.services.escalation import METADATA_PREFIX, Facts, matches

MAX_REMEMBERED = 4_096

Key = tuple[str, str, str, bool]


class Conditional(Protocol):
    """Something with conditions, such as a policy's version."""

    @property
    def conditions(self) -> Any: ...


Policy = TypeVar("Policy", bound=Conditional)


class PolicyMatcher(Generic[Policy]):
    """Finds the policies that match, in their order.

    Remembers the policies that match each combination of severity, service, source and assignment, of which there are
    few. Evaluates conditions on metadata every time. A policy that cannot be evaluated is passed to `on_malformed` and
    matches nothing: it must not stop the others.
    """

    def __init__(self, policies: Sequence[Policy], on_malformed: Callable[[Policy], object]) -> None:
        self._policies = policies
        self._on_malformed = on_malformed
        self._remembered: dict[Key, list[Policy]] = {}
        self._asks_metadata = [policy for policy in policies if _metadata_conditions(policy)]

    @property
    def asks_metadata(self) -> bool:
        """True if the metadata of an incident can decide whether a policy matches."""
        return bool(self._asks_metadata)

    def matching(self, facts: Facts) -> list[Policy]:
        """The policies all of whose conditions hold."""
        candidates = self._candidates(facts)
        if not self._asks_metadata:
            return candidates
        return [policy for policy in candidates if self._holds(policy, _metadata_conditions(policy), facts)]

    def _candidates(self, facts: Facts) -> list[Policy]:
        """The policies whose conditions hold, apart from those on metadata."""
        key = (facts.severity, facts.service, facts.source, facts.is_assigned)
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            found = [policy for policy in self._policies if self._holds(policy, _other_conditions(policy), facts)]
            self._remembered[key] = found
        return found

    def _holds(self, policy: Policy, conditions: Any, facts: Facts) -> bool:
        try:
            return matches(conditions, facts)
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            self._on_malformed(policy)
            return False


def _metadata_conditions(policy: Conditional) -> dict[str, Any]:
    """A policy's conditions on metadata."""
    if not isinstance(policy.conditions, dict):
        return {}
    return {name: of for name, of in policy.conditions.items() if str(name).startswith(METADATA_PREFIX)}


def _other_conditions(policy: Conditional) -> Any:
    """A policy's other conditions. A value that is not an object stays as it is and proves malformed later."""
    if not isinstance(policy.conditions, dict):
        return policy.conditions
    return {name: of for name, of in policy.conditions.items() if not str(name).startswith(METADATA_PREFIX)}
