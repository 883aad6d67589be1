"""Accounts: one's own, and for administrators everybody's."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.security import MAX_ID
from tests.support.answers import problem
from tests.support.operations import OPERATIONS, Operation
from tests.support.world import PASSWORD, Clock, Person

USERS = "/v1/users"
CURRENT = {"current_password": PASSWORD}
NEW = {"email": "new@example.com", "password": PASSWORD}
SignUp = Callable[..., Person]
FOR_ADMINS = [
    o for o in OPERATIONS if o.path.startswith(USERS) and "/me" not in o.path and not o.path.endswith("/directory")
]


def read(client: TestClient, user_id: int, admin: Person) -> dict[str, Any]:
    answer = client.get(f"{USERS}/{user_id}", headers=admin.headers)
    assert answer.status_code == 200, answer.text
    user: dict[str, Any] = answer.json()
    return user


def put(client: TestClient, user_id: int, change: dict[str, Any], admin: Person) -> dict[str, Any]:
    answer = client.put(f"{USERS}/{user_id}", json=change, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    user: dict[str, Any] = answer.json()
    return user


@pytest.mark.parametrize("operation", FOR_ADMINS, ids=str)
def test_only_administrators_see_and_change_accounts(
    client: TestClient, user: Person, admin: Person, operation: Operation
) -> None:
    url = operation.url(user_id=admin.id)
    body = NEW if operation.method == "POST" else {"full_name": "Eve"} if operation.method == "PUT" else None
    found = problem(client.request(operation.method, url, json=body, headers=user.headers), 403)
    assert found["code"] == "permission_denied"
    assert read(client, admin.id, admin)["full_name"] is None


def test_that_they_may_not_is_told_before_what_was_wrong(client: TestClient, user: Person) -> None:
    problem(client.post(USERS, json={"email": "x"}, headers=user.headers), 403)
    problem(client.put(f"{USERS}/{MAX_ID}", json={"full_name": "Eve"}, headers=user.headers), 403)


def test_rights_are_those_of_this_moment_not_those_of_the_login(
    client: TestClient, user: Person, admin: Person
) -> None:
    for is_superuser, status in ((True, 200), (False, 403)):
        put(client, user.id, {"is_superuser": is_superuser}, admin)
        assert client.get(USERS, headers=user.headers).status_code == status


def test_everybody_reads_their_own_account(client: TestClient, user: Person, admin: Person) -> None:
    own = client.get(f"{USERS}/me", headers=user.headers).json()
    assert (own["id"], own["email"]) == (user.id, user.email)
    assert own == read(client, user.id, admin)


def test_an_administrator_makes_an_account(client: TestClient, admin: Person, log_in: SignUp) -> None:
    answer = client.post(USERS, json={**NEW, "full_name": "Ada", "phone_number": "+15550100"}, headers=admin.headers)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["full_name"], made["phone_number"]) == ("Ada", "+15550100")
    assert (made["is_active"], made["is_superuser"]) == (True, False)
    assert made == read(client, made["id"], admin)
    assert log_in("new@example.com").id == made["id"]


@pytest.mark.parametrize("rights", [{"is_superuser": True}, {"is_active": False}])
def test_an_administrator_decides_on_rights(client: TestClient, admin: Person, rights: dict[str, bool]) -> None:
    made = client.post(USERS, json={**NEW, **rights}, headers=admin.headers).json()
    assert made == {**made, **rights}


@pytest.mark.parametrize("email", ["user@example.com", "USER@EXAMPLE.com"])
def test_an_address_belongs_to_one_account(client: TestClient, user: Person, admin: Person, email: str) -> None:
    taken = [
        client.post(USERS, json={**NEW, "email": email}, headers=admin.headers),
        client.put(f"{USERS}/{admin.id}", json={"email": email, "full_name": "Eve"}, headers=admin.headers),
        client.put(f"{USERS}/me", json={"email": email, "full_name": "Eve", **CURRENT}, headers=admin.headers),
    ]
    assert {problem(answer, 409)["code"] for answer in taken} == {"email_taken"}
    assert read(client, admin.id, admin)["full_name"] is None


def test_ones_own_address_may_be_written_in_another_way(client: TestClient, user: Person, log_in: SignUp) -> None:
    answer = client.put(f"{USERS}/me", json={"email": "USER@example.com"}, headers=user.headers)
    assert answer.json()["email"] == "USER@example.com"
    assert log_in("user@example.com").id == user.id


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"full_name": "Ada"},
        {"full_name": None},
        {"phone_number": "+15550100"},
        {"phone_number": None},
        pytest.param({"email": "moved@example.com"}, id="email"),
    ],
    ids=str,
)
@pytest.mark.parametrize("own", [True, False], ids=["me", "admin"])
def test_a_change_is_partial(
    client: TestClient, sign_up: SignUp, admin: Person, clock: Clock, change: dict[str, Any], own: bool
) -> None:
    user = sign_up("user@example.com", full_name="Grace", phone_number="+49301234")
    before = read(client, user.id, admin)
    clock.advance(minutes=1)
    url, person = (f"{USERS}/me", user) if own else (f"{USERS}/{user.id}", admin)
    after = client.put(url, json={**change, **(CURRENT if own else {})}, headers=person.headers).json()
    assert after == read(client, user.id, admin)
    held = {"pending_email": change["email"]} if own and "email" in change else change
    assert after == {**before, **held, "updated_at": after["updated_at"]}
    assert (after["updated_at"] > before["updated_at"]) is bool(change)


@pytest.mark.parametrize("name", ["email", "password", "is_active", "is_superuser"])
def test_what_must_be_there_cannot_be_cleared(client: TestClient, user: Person, admin: Person, name: str) -> None:
    answer = client.put(f"{USERS}/{user.id}", json={name: None}, headers=admin.headers)
    problem(answer, 422, pointer=f"/{name}")


@pytest.mark.parametrize("own", [True, False], ids=["me", "admin"])
def test_what_was_read_can_be_edited_and_sent_back(client: TestClient, user: Person, admin: Person, own: bool) -> None:
    url, person = (f"{USERS}/me", user) if own else (f"{USERS}/{user.id}", admin)
    before = client.get(url, headers=person.headers).json()
    answer = client.put(url, json={**before, "full_name": "Ada"}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {**before, "full_name": "Ada", "updated_at": answer.json()["updated_at"]}
    assert user.on(client).send("GET /users/me").status_code == 200  # nobody was logged out


def test_what_the_server_sets_is_ignored(client: TestClient, user: Person, admin: Person) -> None:
    before = read(client, user.id, admin)
    given = {"id": admin.id, "created_at": "1999-01-01T00:00:00Z", "updated_at": "nonsense"}
    assert put(client, user.id, given, admin) == before


@pytest.mark.parametrize("wish", [{"is_superuser": True}, {"is_superuser": "yes"}, {"is_active": False}, {"id": 1}])
def test_nobody_raises_their_own_rights(client: TestClient, user: Person, wish: dict[str, Any]) -> None:
    before = client.get(f"{USERS}/me", headers=user.headers).json()
    answer = client.put(f"{USERS}/me", json=wish, headers=user.headers)
    assert (answer.status_code, answer.json()) == (200, before)
    problem(client.get(USERS, headers=user.headers), 403)


def test_a_new_password_ends_this_session_too(client: TestClient, user: Person, log_in: SignUp) -> None:
    answer = client.put(f"{USERS}/me", json={"password": "another password", **CURRENT}, headers=user.headers)
    assert answer.status_code == 200
    assert "another password" not in answer.text
    problem(client.get(f"{USERS}/me", headers=user.headers), 401)
    assert log_in(user.email, "another password").id == user.id


def test_a_deleted_account_is_not_there_any_more(client: TestClient, user: Person, admin: Person) -> None:
    before = read(client, user.id, admin)
    answer = client.delete(f"{USERS}/{user.id}", headers=admin.headers)
    assert answer.status_code == 200
    assert answer.json() == {**before, "is_active": False, "updated_at": answer.json()["updated_at"]}
    url = f"{USERS}/{user.id}"
    gone = [
        client.get(url, headers=admin.headers),
        client.put(url, json={"is_active": True}, headers=admin.headers),
        client.delete(url, headers=admin.headers),
        admin.on(client).send(f"GET /notification-preferences/{user.id}"),
    ]
    assert {problem(answer, 404)["code"] for answer in gone} == {"not_found"}
    assert [listed["id"] for listed in client.get(USERS, headers=admin.headers).json()] == [admin.id]


def test_the_address_of_a_deleted_account_is_free(
    client: TestClient, user: Person, admin: Person, sign_up: SignUp
) -> None:
    for _ in range(3):  # more than one may have had it
        [account] = [u for u in client.get(USERS, headers=admin.headers).json() if u["email"] == user.email]
        assert client.delete(f"{USERS}/{account['id']}", headers=admin.headers).status_code == 200
        assert sign_up(user.email).id != account["id"]
    problem(client.get(f"{USERS}/me", headers=user.headers), 401)


def test_what_a_deleted_account_wrote_is_kept(
    client: TestClient, user: Person, admin: Person, open_incident: Callable[..., dict[str, Any]]
) -> None:
    url = f"/v1/incidents/{open_incident()['id']}"
    client.post(f"{url}/comments", json={"content": "On it."}, headers=user.headers)
    client.delete(f"{USERS}/{user.id}", headers=admin.headers)
    incident = client.get(url, headers=admin.headers).json()
    assert incident["created_by"] == user.id
    assert [(c["user_id"], c["content"]) for c in incident["comments"]] == [(user.id, "On it.")]


@pytest.mark.parametrize("missing", [MAX_ID, 10**6])
def test_an_account_that_never_was_is_not_found(client: TestClient, admin: Person, missing: int) -> None:
    url = f"{USERS}/{missing}"
    problem(client.get(url, headers=admin.headers), 404)
    problem(client.put(url, json={}, headers=admin.headers), 404)
    problem(client.put(url, json={"is_superuser": False}, headers=admin.headers), 404)
    problem(client.delete(url, headers=admin.headers), 404)


LAST = [{"is_active": False}, {"is_superuser": False}, {"is_active": False, "is_superuser": False}, None]


def end(client: TestClient, user_id: int, change: dict[str, Any] | None, by: Person) -> Response:
    """Take rights away, or delete the account."""
    url = f"{USERS}/{user_id}"
    return client.put(url, json=change, headers=by.headers) if change else client.delete(url, headers=by.headers)


@pytest.mark.parametrize("change", LAST, ids=str)
def test_the_last_active_administrator_stays(client: TestClient, admin: Person, change: dict[str, Any] | None) -> None:
    """An administrator who is not active, or was deleted, is none."""
    for email, ended_by in (("a@example.com", {"is_active": False}), ("b@example.com", None)):
        body = {"email": email, "password": PASSWORD, "is_superuser": True}
        other = client.post(USERS, json=body, headers=admin.headers).json()["id"]
        assert end(client, other, ended_by, admin).status_code == 200
    assert problem(end(client, admin.id, change, admin), 409)["code"] == "last_admin"
    assert read(client, admin.id, admin)["is_superuser"] is True


@pytest.mark.parametrize("change", LAST, ids=str)
def test_the_last_but_one_may_go(
    client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None
) -> None:
    put(client, user.id, {"is_superuser": True}, admin)
    assert end(client, admin.id, change, admin).status_code == 200
    assert client.get(USERS, headers=user.headers).status_code == 200


def test_the_last_administrator_may_still_be_edited(client: TestClient, admin: Person) -> None:
    me = read(client, admin.id, admin)
    assert put(client, admin.id, {**me, "full_name": "Root"}, admin)["full_name"] == "Root"
    assert put(client, admin.id, {"is_active": True, "is_superuser": True}, admin)["is_superuser"] is True
