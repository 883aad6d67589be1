"""Logins in the audit log and in the log: refused ones are kept though the request leaves nothing else behind."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.core.config import Settings
from app.db.session import Database
from app.services.accounts import refusal_service
from app.utils.service_locator import Services
from tests.support.api import Api
from tests.support.audited import TABLES, logged, whole
from tests.support.contention import stored_text
from tests.support.statements import statements
from tests.support.world import PASSWORD, Person, real_connections

UNKNOWN = "Nobody@example.com"
WRONG = "a wrong password"


def log_in(client: TestClient, email: str, password: str = WRONG) -> int:
    return Api(client).send("POST /auth/login/access-token", {"username": email, "password": password}).status_code


def test_a_login_is_recorded_with_its_session(client: TestClient, admin: Person, user: Person) -> None:
    assert log_in(client, user.email, PASSWORD) == 200
    [entry] = logged(admin.on(client), action="login.succeeded")
    assert (entry["actor_id"], entry["object_id"]) == (user.id, str(user.id))
    assert entry["session_id"]


def test_a_refused_login_names_the_account_but_no_actor(client: TestClient, admin: Person, user: Person) -> None:
    with capture_logs() as logs:
        assert log_in(client, user.email) == 401
    [entry] = logged(admin.on(client), action="login.refused")
    assert (entry["object_type"], entry["object_id"], entry["actor_id"]) == ("user", str(user.id), None)
    assert entry["changes"]["attempts"]["to"] == 1
    [line] = [line for line in logs if line["event"] == "login_refused"]
    assert (line["user_id"], line["sender"]) == (user.id, "testclient")


def test_an_unknown_address_is_a_fingerprint(
    client: TestClient, admin: Person, services: Services, database: Database
) -> None:
    with capture_logs() as logs:
        assert log_in(client, UNKNOWN) == 401
        assert log_in(client, UNKNOWN.upper()) == 401
    expected = refusal_service.fingerprint_of(services.auth.tokens, UNKNOWN.lower())
    [entry] = logged(admin.on(client), action="login.refused")
    assert (entry["object_type"], entry["object_id"]) == ("address", expected)
    lines = [line for line in logs if line["event"] == "login_refused"]
    assert [line["address_fingerprint"] for line in lines] == [expected] * 2
    assert "nobody" not in stored_text(database, *TABLES).lower()
    assert "nobody" not in str(logs).lower()


def test_repetitions_are_counted_together(client: TestClient, admin: Person, user: Person) -> None:
    for _ in range(12):
        assert log_in(client, user.email) == 401
    found = logged(admin.on(client), action="login.refused")
    assert [entry["changes"]["attempts"]["to"] for entry in found] == [10, 1]


def test_known_and_unknown_addresses_cost_the_same_statements(
    client: TestClient, user: Person, services: Services
) -> None:
    asked: list[list[str]] = []
    for email in (user.email, UNKNOWN):
        with statements(services.database) as seen:
            assert log_in(client, email) == 401
        asked.append([" ".join(statement.split()[:4]) for statement in seen if "SAVEPOINT" not in statement])
    assert asked[0] == asked[1]
    assert len(asked[0]) == 2


@pytest.mark.parametrize("change", [{"is_active": False}])
def test_an_inactive_account_is_refused_and_recorded(
    client: TestClient, admin: Person, user: Person, change: dict[str, Any]
) -> None:
    admin.on(client).call(f"PUT /users/{user.id}", change)
    assert log_in(client, user.email, PASSWORD) == 401
    [entry] = logged(admin.on(client), action="login.refused")
    assert entry["object_id"] == str(user.id)


def test_a_spent_refresh_token_is_recorded(client: TestClient, admin: Person, user: Person) -> None:
    body = {"refresh_token": user.refresh_token}
    Api(client).call("POST /auth/login/refresh-token", body)
    with capture_logs() as logs:
        Api(client).call("POST /auth/login/refresh-token", body, wants=401)
    [entry] = logged(admin.on(client), action="refresh_token.reused")
    assert (entry["object_type"], entry["object_id"], entry["actor_id"]) == ("user", str(user.id), None)
    assert entry["changes"]["session_id"]["from"]
    [line] = [line for line in logs if line["event"] == "refresh_token_reused"]
    assert line["sender"] == "testclient"


def test_a_refused_token_is_logged_with_its_sender(client: TestClient) -> None:
    with capture_logs() as logs:
        client.get("/v1/incidents", headers={"Authorization": "Bearer forged"})
    [line] = [line for line in logs if line["event"] == "token_refused"]
    assert line["sender"] == "testclient"
    assert "forged" not in str(line)


def test_entries_of_requests_are_linked_when_they_commit(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api:
        assert log_in(api.client, "admin@example.com") == 401
        api.call("POST /users", {"email": "new@example.com", "password": PASSWORD}, wants=201)
        api.call("POST /users", {"email": "new@example.com", "password": PASSWORD}, wants=409)
        actions = [entry["action"] for entry in reversed(logged(api))]
    assert actions == ["user.created", "login.succeeded", "login.refused", "user.created"]
    assert whole(own_database).entries == len(actions)
