"""Who works on an incident, and what they write about it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from tests.support.answers import problem
from tests.support.api import Api, together
from tests.support.world import PASSWORD, Clock, Person, real_connections

SignUp = Callable[..., Person]


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.fixture
def path(api: Api) -> str:
    """The path of a new incident."""
    return f"/incidents/{api.open()['id']}"


def test_who_is_assigned_is_answered_and_first_owns_the_incident(
    api: Api, path: str, user: Person, sign_up: SignUp
) -> None:
    second = sign_up()
    first = api.call(f"POST {path}/assign", {"user_id": user.id})
    assert (first["user_id"], first["role"], f"/incidents/{first['incident_id']}") == (user.id, "responder", path)
    api.call(f"POST {path}/assign", {"user_id": second.id, "role": "observer"})
    detail = api.call(f"GET {path}")
    assert [(a["user_id"], a["role"]) for a in detail["assignments"]] == [
        (user.id, "responder"),
        (second.id, "observer"),
    ]
    assert detail["assigned_to"] == user.id
    assert detail["assignments"][0] == first


def test_an_owner_stays_when_somebody_else_is_assigned(api: Api, user: Person, sign_up: SignUp) -> None:
    owner = sign_up()
    incident = api.open(assigned_to=owner.id)
    api.call(f"POST /incidents/{incident['id']}/assign", {"user_id": user.id})
    assert api.incident(incident["id"])["assigned_to"] == owner.id


@pytest.mark.parametrize("role", [{}, {"role": "responder"}, {"role": " responder "}])
def test_the_same_assignment_again_changes_nothing(
    api: Api, path: str, user: Person, clock: Clock, role: dict[str, str]
) -> None:
    first = api.call(f"POST {path}/assign", {"user_id": user.id})
    before = api.call(f"GET {path}")
    clock.advance(minutes=1)
    assert api.call(f"POST {path}/assign", {"user_id": user.id, **role}) == first
    assert api.call(f"GET {path}") == before


def test_another_role_changes_the_assignment_instead_of_adding_one(api: Api, path: str, user: Person) -> None:
    first = api.call(f"POST {path}/assign", {"user_id": user.id})
    assert api.call(f"POST {path}/assign", {"user_id": user.id, "role": "lead"}) == {**first, "role": "lead"}
    assert len(api.call(f"GET {path}")["assignments"]) == 1


def test_an_incident_named_in_the_body_must_be_the_one_in_the_path(api: Api, path: str, user: Person) -> None:
    incident_id = int(path.rpartition("/")[2])
    api.call(f"POST {path}/assign", {"user_id": user.id, "incident_id": incident_id})
    other = {"user_id": user.id, "incident_id": api.open()["id"]}
    problem(api.send(f"POST {path}/assign", other), 422, pointer="/incident_id")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/user_id"),
        ({"user_id": None}, "/user_id"),
        ({"user_id": 999_999}, "/user_id"),
        ({"user_id": 0}, "/user_id"),
        ({"user_id": "1"}, "/user_id"),
        ({"user_id": 2**31}, "/user_id"),
        ({"user_id": 1, "role": ""}, "/role"),
        ({"user_id": 1, "role": None}, "/role"),
        ({"user_id": 1, "role": "x" * 51}, "/role"),
        ({"user_id": 1, "assigned_at": None}, "/assigned_at"),
    ],
)
def test_a_wrong_assignment_is_refused_by_the_field(api: Api, path: str, body: dict[str, Any], pointer: str) -> None:
    problem(api.send(f"POST {path}/assign", body), 422, pointer=pointer)
    assert api.call(f"GET {path}")["assignments"] == []


@pytest.mark.parametrize("how", ["inactive", "deleted"])
def test_nobody_who_is_gone_can_be_assigned_but_their_assignment_can_end(
    api: Api, client: TestClient, admin: Person, sign_up: SignUp, path: str, how: str
) -> None:
    gone = sign_up()
    api.call(f"POST {path}/assign", {"user_id": gone.id})
    by_admin = Api(client, admin.headers)
    if how == "inactive":
        by_admin.call(f"PUT /users/{gone.id}", {"is_active": False})
    else:
        by_admin.call(f"DELETE /users/{gone.id}")
    other = f"/incidents/{api.open()['id']}"
    problem(api.send(f"POST {other}/assign", {"user_id": gone.id}), 422, pointer="/user_id")
    assert api.call(f"DELETE {path}/assign/{gone.id}")["user_id"] == gone.id


def test_ending_an_assignment_hands_the_incident_to_the_next_assignee(
    api: Api, path: str, user: Person, sign_up: SignUp
) -> None:
    second = sign_up()
    for person in (user, second):
        api.call(f"POST {path}/assign", {"user_id": person.id})
    ended = api.call(f"DELETE {path}/assign/{user.id}")
    assert (ended["user_id"], ended["role"]) == (user.id, "responder")
    detail = api.call(f"GET {path}")
    assert (detail["assigned_to"], [a["user_id"] for a in detail["assignments"]]) == (second.id, [second.id])
    api.call(f"DELETE {path}/assign/{second.id}")
    detail = api.call(f"GET {path}")
    assert (detail["assigned_to"], detail["assignments"]) == (None, [])


def test_ending_an_assistants_assignment_leaves_the_owner(api: Api, path: str, user: Person, sign_up: SignUp) -> None:
    second = sign_up()
    for person in (user, second):
        api.call(f"POST {path}/assign", {"user_id": person.id})
    api.call(f"DELETE {path}/assign/{second.id}")
    assert api.call(f"GET {path}")["assigned_to"] == user.id


@pytest.mark.parametrize("user_id", ["USER", "999999", "0", "x"])
def test_an_assignment_that_is_not_there_does_not_end(api: Api, path: str, user: Person, user_id: str) -> None:
    problem(api.send(f"DELETE {path}/assign/{user_id.replace('USER', str(user.id))}"), 404)


def test_a_comment_is_kept_with_its_author_and_listed_oldest_first(
    api: Api, client: TestClient, path: str, user: Person, sign_up: SignUp
) -> None:
    other = sign_up()
    first = api.call(f"POST {path}/comments", {"content": "  On it: 🔥\n\n* restarted \n"})
    second = Api(client, other.headers).call(f"POST {path}/comments", {"content": "Thanks"})
    assert first["content"] == "On it: 🔥\n\n* restarted"
    assert (first["user_id"], second["user_id"]) == (user.id, other.id)
    assert f"/incidents/{first['incident_id']}" == path
    assert api.call(f"GET {path}/comments") == api.call(f"GET {path}")["comments"] == [first, second]


@pytest.mark.parametrize("content", [None, "", " \n\t", 5, ["x"], "x" * 20_001, "a\0b"])
def test_a_comment_without_sound_content_is_refused(api: Api, path: str, content: Any) -> None:
    problem(api.send(f"POST {path}/comments", {"content": content}), 422, pointer="/content")
    assert api.call(f"GET {path}/comments") == []


def test_a_resolved_incident_may_still_be_commented_and_assigned(api: Api, path: str, user: Person) -> None:
    api.call(f"POST {path}/resolve")
    api.call(f"POST {path}/comments", {"content": "The cause was a full disk."})
    api.call(f"POST {path}/assign", {"user_id": user.id})
    assert api.call(f"GET {path}")["status"] == "resolved"


@pytest.mark.parametrize(
    "line", ["POST {}/assign", "DELETE {}/assign/1", "GET {}/comments", "POST {}/comments", "GET {}/timeline", "GET {}"]
)
def test_an_incident_that_is_not_there_has_no_record(api: Api, user: Person, line: str) -> None:
    body = {"user_id": user.id} if "assign" in line else {"content": "x"}
    problem(api.send(line.format("/incidents/999999"), body if line.startswith("POST") else None), 404)


def test_the_detail_shows_the_incident_as_lists_do_and_its_record(api: Api, path: str, user: Person) -> None:
    api.call(f"POST {path}/assign", {"user_id": user.id})
    api.call(f"POST {path}/comments", {"content": "On it."})
    [listed] = api.call("GET /incidents")
    detail = api.call(f"GET {path}")
    record = {name: detail.pop(name) for name in ("assignments", "comments", "timeline_events")}
    assert detail == listed
    assert [len(part) for part in record.values()] == [1, 1, 4]
    assert record["timeline_events"] == api.call(f"GET {path}/timeline")


def test_who_assigns_the_same_people_at_once_makes_one_assignment_each(
    settings: Settings, own_database: Database
) -> None:
    with real_connections(settings, own_database) as api:
        people = [
            api.call("POST /users", {"email": f"user-{n}@example.com", "password": PASSWORD}, wants=201)["id"]
            for n in range(3)
        ]
        incident_id = api.open()["id"]
        line = f"POST /incidents/{incident_id}/assign"
        answers = together([partial(api.call, line, {"user_id": person}) for person in people * 4])
        detail = api.incident(incident_id)
        assert sorted(a["user_id"] for a in detail["assignments"]) == people
        assert {answer["id"] for answer in answers} == {a["id"] for a in detail["assignments"]}
        assert detail["assigned_to"] == detail["assignments"][0]["user_id"]
        assert [e["event_type"] for e in detail["timeline_events"]] == ["assigned"] * 3 + [
            "no_policy_matched",
            "created",
        ]
