"""A new action: one class that registers itself, and policies can have it."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from fastapi.testclient import TestClient

from app.core.vocabulary import TimelineEventType
from app.schemas.base import Input
from app.schemas.types import Id, RequiredText
from app.services.policies.actions.registry import ACTIONS, Action, Addressee, Mentions, StepResult, Stored, done
from app.services.policies.situation import Context, Trial
from app.services.timeline_service import record
from tests.support.answers import problem
from tests.support.scenario import Opener, Tick, events, notify, timeline
from tests.support.world import Person

POLICIES = "/v1/escalation/policies"


class ShoutAction(Input):
    """Shout a name and page the admins."""

    type: Literal["shout"]
    user_id: Id
    words: RequiredText


class Shout(Action):
    model = ShoutAction

    def perform(self, context: Context, action: Stored) -> StepResult:
        kind = TimelineEventType.COMMENTED
        record(context.session, context.incident.id, kind, action["words"].upper(), at=context.at)
        return done("shout", heard_by=action["user_id"])

    def mentions(self, action: Stored) -> Mentions:
        return Mentions(users=(("user_id", action["user_id"]),), templates=(("words", action["words"]),))

    def simulate(self, trial: Trial, action: Stored) -> list[Addressee]:
        return [Addressee(admin, None) for admin in trial.directory.admins()]


@pytest.fixture
def shout(admin: Person) -> Iterator[dict[str, Any]]:
    """An action of a kind that there is only while the test runs."""
    action = Shout()
    ACTIONS.add(action)
    yield {"type": "shout", "user_id": admin.id, "words": "wake up"}
    ACTIONS.remove(action)


def policy(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Loud", "steps": [{"delay_minutes": 0, "actions": list(actions)}]}


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [({"user_id": "x"}, "user_id"), ({"words": ""}, "words"), ({"wrods": "x"}, "wrods")],
)
def test_a_new_action_is_validated_by_its_model(
    client: TestClient, admin: Person, shout: dict[str, Any], wrong: dict[str, Any], pointer: str
) -> None:
    answer = client.post(POLICIES, json=policy(notify(), {**shout, **wrong}), headers=admin.headers)
    problem(answer, 422, pointer=f"/steps/0/actions/1/{pointer}")


@pytest.mark.parametrize(("wrong", "place"), [({"user_id": 999_999}, "user_id"), ({"words": "{{ x"}, "words")])
def test_what_a_new_action_mentions_is_checked(
    client: TestClient, admin: Person, shout: dict[str, Any], wrong: dict[str, Any], place: str
) -> None:
    answer = client.post(POLICIES, json=policy({**shout, **wrong}), headers=admin.headers)
    problem(answer, 422, pointer=f"/steps/0/actions/0/{place}")


def test_a_new_action_is_tried_in_a_preview(client: TestClient, admin: Person, shout: dict[str, Any]) -> None:
    body = {"incident": {"severity": "high", "service": "web"}, "policy": policy(shout)}
    answer = client.post("/v1/escalation/preview", json=body, headers=admin.headers).json()
    [step] = answer["policies"][-1]["steps"]
    [action] = step["actions"]
    assert (action["type"], [person["user_id"] for person in action["people"]]) == ("shout", [admin.id])
    assert not answer["policies"][-1]["reaches_nobody"]


def test_a_new_action_is_performed(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    shout: dict[str, Any],
) -> None:
    add_policy(steps=policy(shout)["steps"])
    incident = open_incident()
    tick()
    [event] = events(client, incident, admin)
    assert event["metadata"]["actions"] == [{"type": "shout", "heard_by": admin.id}]
    assert "commented" in timeline(client, incident, admin)


def test_an_action_that_is_not_registered_is_refused(client: TestClient, admin: Person) -> None:
    answer = client.post(POLICIES, json=policy({"type": "shout", "user_id": 1, "words": "x"}), headers=admin.headers)
    problem(answer, 422, pointer="/steps/0/actions/0/type")


def test_two_actions_cannot_have_one_name(shout: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="two actions are named shout"):
        ACTIONS.add(Shout())
