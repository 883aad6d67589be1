"""The words of a scenario in which somebody asks why a person was paged."""

from typing import Any

from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from tests.support.scenario import Opener, Tick, act, steps
from tests.support.world import Person

LATER = Outcome(AttemptOutcome.RETRY, error="The server is busy.")
DEAD = Outcome(AttemptOutcome.DEAD, error="no such number")
Reasons = dict[str, list[dict[str, Any]]]


def explained(client: TestClient, incident: dict[str, Any], by: Person) -> dict[str, Any]:
    found: dict[str, Any] = by.on(client).call(f"GET /incidents/{incident['id']}/why")
    return found


def why(client: TestClient, incident: dict[str, Any], by: Person) -> Reasons:
    """The reasons for each recipient."""
    return {person["recipient"]: person["reasons"] for person in explained(client, incident, by)["people"]}


def codes(reasons: list[dict[str, Any]]) -> list[str]:
    return [reason["code"] for reason in reasons]


class Story:
    """The person on call is paged about an incident by one policy, and asks why."""

    def __init__(
        self, client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
    ) -> None:
        self.client, self.on_call, self.admin, self.tick = client, on_call, admin, tick
        self._add_policy, self._open = add_policy, open_incident
        self.incident: dict[str, Any] = {}
        self.policy: dict[str, Any] = {}

    def begin(self, *delays: float, conditions: dict[str, Any] | None = None, **action: Any) -> None:
        action = {"target": self.on_call.id, **action}
        self.policy = self._add_policy(name="Night", conditions=conditions or {}, steps=steps(*delays, **action))
        self.incident = self._open()
        self.tick()

    def reasons(self, person: Person | None = None) -> list[dict[str, Any]]:
        found = why(self.client, self.incident, self.admin)
        return found.get(f"user:{(person or self.on_call).id}", [])

    def act(self, what: str, by: Person | None = None, **query: Any) -> None:
        act(self.client, self.incident, what, by or self.admin, **query)
