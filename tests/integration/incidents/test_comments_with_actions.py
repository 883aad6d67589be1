"""An action takes a comment: both are kept in one transaction, or neither is."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.answers import problem
from tests.support.api import Api
from tests.support.world import Clock, Person

ACTIONS = {
    "acknowledge": "acknowledged",
    "resolve": "resolved",
    "reopen": "open",
    "snooze?hours=2": "snoozed",
    "escalate": "open",
}
each_action = pytest.mark.parametrize("action", ACTIONS)
NOTE = {"comment": "Failover is running."}


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.fixture
def path(api: Api, admin: Person) -> str:
    """The path of a new incident."""
    return f"/incidents/{api.open()['id']}"


def _comments(api: Api, path: str) -> list[tuple[str, int]]:
    return [(comment["content"], comment["user_id"]) for comment in api.call(f"GET {path}/comments")]


@each_action
def test_the_comment_of_an_action_is_kept_with_it(api: Api, path: str, user: Person, action: str) -> None:
    assert api.call(f"POST {path}/{action}", NOTE)["status"] == ACTIONS[action]
    assert _comments(api, path) == [("Failover is running.", user.id)]
    [entry] = [event for event in api.call(f"GET {path}/timeline") if event["event_type"] == "commented"]
    assert entry["user_id"] == user.id


def test_escalating_by_the_other_path_takes_a_comment_too(api: Api, path: str, user: Person) -> None:
    api.call(f"POST /escalation{path}/escalate", NOTE)
    assert _comments(api, path) == [("Failover is running.", user.id)]


def test_a_snooze_takes_its_time_and_a_comment_in_one_body(api: Api, path: str) -> None:
    assert api.call(f"POST {path}/snooze", {"minutes": 5, **NOTE})["status"] == "snoozed"
    assert len(_comments(api, path)) == 1


def test_a_snooze_with_a_comment_and_no_time_is_refused(api: Api, path: str) -> None:
    problem(api.send(f"POST {path}/snooze", NOTE), 422, pointer="hours")
    problem(api.send(f"POST {path}/snooze?hours=1", {"minutes": 5, **NOTE}), 422, pointer="hours")
    assert _comments(api, path) == []


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (action, body)
        for action in ACTIONS
        for body in (None, {}, {"comment": None})
        if body is None or "?" not in action
    ],
)
def test_an_action_needs_no_comment(api: Api, path: str, action: str, body: Any) -> None:
    assert api.call(f"POST {path}/{action}", body)["status"] == ACTIONS[action]
    assert _comments(api, path) == []


@each_action
@pytest.mark.parametrize(("body", "pointer"), [({"coment": "x"}, "/coment"), ({"comment": " "}, "/comment")])
def test_a_body_that_would_be_dropped_is_refused(
    api: Api, path: str, action: str, body: dict[str, str], pointer: str
) -> None:
    before = api.call(f"GET {path}")
    problem(api.send(f"POST {path}/{action}", body), 422, pointer=pointer)
    assert api.call(f"GET {path}") == before


def test_an_action_that_is_refused_keeps_no_comment(api: Api, path: str) -> None:
    api.call(f"POST {path}/resolve")
    problem(api.send(f"POST {path}/acknowledge", NOTE), 409)
    assert _comments(api, path) == []


def test_a_comment_is_kept_even_if_the_action_changes_nothing(api: Api, path: str) -> None:
    api.call(f"POST {path}/acknowledge")
    api.call(f"POST {path}/acknowledge", NOTE)
    assert len(_comments(api, path)) == 1


def test_a_comment_may_name_the_incident_in_its_path_only(api: Api, path: str) -> None:
    incident_id = int(path.rpartition("/")[2])
    api.call(f"POST {path}/comments", {"content": "Looking.", "incident_id": incident_id})
    other = {"content": "Looking.", "incident_id": api.open()["id"]}
    problem(api.send(f"POST {path}/comments", other), 422, pointer="/incident_id")
    assert len(_comments(api, path)) == 1


def test_acknowledged_at_is_the_first_acknowledgement_of_a_cycle(api: Api, path: str, clock: Clock) -> None:
    first = api.call(f"POST {path}/acknowledge")["acknowledged_at"]
    clock.advance(minutes=5)
    api.call(f"POST {path}/snooze?hours=1")
    clock.advance(minutes=5)
    assert api.call(f"POST {path}/acknowledge")["acknowledged_at"] == first
    api.call(f"POST {path}/reopen")
    assert api.call(f"POST {path}/acknowledge")["acknowledged_at"] > first


def test_every_address_that_the_root_names_is_there(client: TestClient) -> None:
    for name, address in client.get("/").json()["links"].items():
        assert client.get(address).status_code == 200, name
