"""A request that is repeated under its Idempotency-Key is carried out once."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.db.session import Database
from app.models import IdempotencyKey
from app.worker import Jobs
from tests.support.answers import problem
from tests.support.api import JSON, Api, together
from tests.support.world import PASSWORD, Clock, Person, instance, real_connections

INCIDENT = {"title": "Disk full", "severity": "low", "service": "db"}
POLICY = {"name": "Databases", "actions": [{"type": "notify", "target": "admins"}]}
ACCOUNT = {"email": "new@example.com", "password": PASSWORD}
CREATES = [
    ("/incidents", INCIDENT, 201),
    ("/incidents/{}/comments", {"content": "On it."}, 200),
    ("/escalation/policies", POLICY, 201),
    ("/users", ACCOUNT, 201),
]


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return Api(client, admin.headers)


def post(api: Api, path: str, body: Any, key: str = "key-1") -> Response:
    return api.send(f"POST {path}", body, headers={"Idempotency-Key": key})


def count(api: Api, path: str) -> int:
    return len(api.call(f"GET {path}"))


@pytest.mark.parametrize(("path", "body", "status"), CREATES)
def test_what_comes_again_is_answered_as_at_first_and_not_done_again(
    api: Api, path: str, body: dict[str, Any], status: int
) -> None:
    path = path.format(api.open()["id"])
    first = post(api, path, body)
    made = count(api, path)
    again = post(api, path, body)
    assert (first.status_code, again.status_code) == (status, status)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert count(api, path) == made


@pytest.mark.parametrize(("path", "body", "status"), CREATES)
def test_the_same_key_with_another_body_is_a_conflict(api: Api, path: str, body: dict[str, Any], status: int) -> None:
    path = path.format(api.open()["id"])
    assert post(api, path, body).status_code == status
    made = count(api, path)
    name = next(iter(body))
    refusal = problem(post(api, path, {**body, name: f"other-{body[name]}"}), 409)
    assert refusal["code"] == "idempotency_key_reused"
    assert count(api, path) == made


def test_without_a_key_or_with_another_one_everything_is_done_anew(api: Api) -> None:
    for key in ("key-1", "key-2"):
        post(api, "/incidents", INCIDENT, key)
    for _ in range(2):
        api.call("POST /incidents", INCIDENT, wants=201)
    assert count(api, "/incidents") == 4


def test_a_body_that_says_the_same_in_another_order_is_the_same(api: Api) -> None:
    first = post(api, "/incidents", {**INCIDENT, "metadata": {"a": 1, "b": 2}})
    reordered = json.dumps({"metadata": {"b": 2, "a": 1}, **dict(reversed(INCIDENT.items()))}, indent=2)
    again = api.send("POST /incidents", content=reordered, headers={**JSON, "Idempotency-Key": "key-1"})
    assert again.json() == first.json()


def test_a_key_with_a_trailing_slash_in_the_path_is_the_same(api: Api) -> None:
    first = post(api, "/incidents", INCIDENT)
    assert post(api, "/incidents/", INCIDENT).json() == first.json()


def test_a_key_counts_for_one_user_alone(api: Api, client: TestClient, user: Person) -> None:
    first = post(api, "/incidents", INCIDENT)
    theirs = post(Api(client, user.headers), "/incidents", {**INCIDENT, "title": "Another"})
    assert (theirs.status_code, theirs.json()["title"]) == (201, "Another")
    assert first.json()["id"] != theirs.json()["id"]


def test_a_key_counts_for_one_route_alone(api: Api) -> None:
    first, second = (f"/incidents/{api.open()['id']}/comments" for _ in range(2))
    comments = [post(api, path, {"content": "On it."}).json() for path in (first, second)]
    assert comments[0]["incident_id"] != comments[1]["incident_id"]
    assert post(api, "/incidents", INCIDENT).status_code == 201


@pytest.mark.parametrize(
    ("path", "wrong", "status", "right"),
    [
        ("/incidents", {**INCIDENT, "severity": "x"}, 422, INCIDENT),
        ("/incidents", {**INCIDENT, "assigned_to": 999_999}, 422, INCIDENT),
        ("/users", {**ACCOUNT, "email": "admin@example.com"}, 409, ACCOUNT),
    ],
)
def test_a_refusal_is_not_kept_so_that_the_key_may_be_used_again(
    api: Api, path: str, wrong: dict[str, Any], status: int, right: dict[str, Any]
) -> None:
    problem(post(api, path, wrong), status)
    assert post(api, path, right).status_code == 201


def test_a_refusal_to_a_resource_that_is_not_there_is_not_kept(api: Api) -> None:
    incident_id = api.open()["id"]
    path = f"/incidents/{incident_id + 1}/comments"
    problem(post(api, path, {"content": "Early"}), 404)
    assert api.open()["id"] == incident_id + 1
    assert post(api, path, {"content": "Early"}).status_code == 200


def test_the_first_answer_is_repeated_after_the_incident_has_changed(api: Api) -> None:
    first = post(api, "/incidents", INCIDENT).json()
    api.call(f"POST /incidents/{first['id']}/resolve")
    assert post(api, "/incidents", INCIDENT).json() == first


def test_a_key_is_kept_for_a_day_and_then_begins_anew(api: Api, clock: Clock) -> None:
    first = post(api, "/incidents", INCIDENT).json()
    clock.advance(hours=24)
    assert post(api, "/incidents", INCIDENT).json() == first
    problem(post(api, "/incidents", {**INCIDENT, "title": "Another"}), 409)
    clock.advance(seconds=1)
    second = post(api, "/incidents", {**INCIDENT, "title": "Another"})
    assert (second.status_code, second.json()["title"]) == (201, "Another")
    clock.advance(hours=24)
    assert post(api, "/incidents", {**INCIDENT, "title": "Another"}).json() == second.json()


def test_cleaning_up_forgets_only_keys_that_count_no_longer(
    api: Api, clock: Clock, jobs: Jobs, session: Session
) -> None:
    first = post(api, "/incidents", INCIDENT, "old").json()
    clock.advance(hours=12)
    second = post(api, "/incidents", INCIDENT, "young").json()
    clock.advance(hours=12, seconds=1)
    jobs.clean_up()
    assert session.scalars(select(IdempotencyKey.key)).all() == ["young"]
    assert post(api, "/incidents", INCIDENT, "young").json() == second
    assert post(api, "/incidents", INCIDENT, "old").json() != first


def test_who_may_not_do_it_any_more_is_not_shown_the_first_answer(
    api: Api, client: TestClient, sign_up: Callable[..., Person]
) -> None:
    somebody = sign_up()
    api.call(f"PUT /users/{somebody.id}", {"is_superuser": True})
    theirs = Api(client, somebody.headers)
    assert post(theirs, "/escalation/policies", POLICY).status_code == 201
    api.call(f"PUT /users/{somebody.id}", {"is_superuser": False})
    problem(post(theirs, "/escalation/policies", POLICY), 403)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff", b'{"title": NaN}', b"[" * 100_000])
def test_a_body_that_cannot_be_repeated_is_refused_for_what_it_is(api: Api, content: bytes) -> None:
    answer = api.send("POST /incidents", content=content, headers={**JSON, "Idempotency-Key": "key-1"})
    assert answer.status_code in {400, 422}, answer.text
    assert post(api, "/incidents", INCIDENT).status_code == 201


def test_requests_at_one_moment_under_one_key_are_carried_out_once(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api:
        answers = together([partial(post, api, "/incidents", INCIDENT)] * 8)
        assert [answer.status_code for answer in answers] == [201] * 8
        assert [answer.json() for answer in answers] == [answers[0].json()] * 8
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 7
        assert count(api, "/incidents") == 1


def test_two_instances_of_the_service_share_their_keys(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as one, instance(settings, own_database) as client:
        two = Api(client, one.headers)
        assert (count(one, "/incidents"), count(two, "/incidents")) == (0, 0)  # FastAPI builds routes at first use
        bodies = [INCIDENT, {**INCIDENT, "title": "Another"}]
        answers = together([partial(post, api, "/incidents", body) for api in (one, two) for body in bodies])
        assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
        assert count(one, "/incidents") == 1


def test_when_the_first_of_two_fails_the_second_is_carried_out(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api:
        bodies = [{**INCIDENT, "assigned_to": 999_999}, INCIDENT] * 4
        answers = together([partial(post, api, "/incidents", body) for body in bodies])
        assert [answer.status_code for answer in answers[1::2]] == [201] * 4
        assert {answer.status_code for answer in answers[::2]} <= {409, 422}
        assert count(api, "/incidents") == 1
