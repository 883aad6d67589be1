"""What an API key may do: its scopes, what keys may never do, and who may give the scope admin."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.api.key_scopes import scope_for
from app.core.vocabulary import ApiKeyScope
from tests.support.answers import problem
from tests.support.keys import machine
from tests.support.operations import WITH_LOGIN, Operation
from tests.support.world import PASSWORD, Person

SignUp = Callable[..., Person]
FOR_PEOPLE = {
    *("list_my_sessions", "revoke_my_session", "create_api_key"),
    *("update_me", "verify_my_email", "confirm_my_email"),
    *("order_my_channels", "set_my_preference", "verify_my_address", "confirm_my_address", "test_my_channel"),
}
CHANGES_NOTHING = {"check_token", "preview_escalation", "preview_template"}
INCIDENT = {"title": "Disk full", "severity": "low", "service": "db"}


@pytest.mark.parametrize("operation", WITH_LOGIN, ids=str)
def test_the_scope_of_a_route_follows_from_its_method_and_path(operation: Operation) -> None:
    name = operation.spec["operationId"]
    scope = scope_for(operation.method, operation.path)
    assert scope == scope_for(operation.method, operation.url())
    assert (scope is None) == (name in FOR_PEOPLE)
    if scope is not None and name not in ("list_api_keys", "revoke_api_key"):
        is_reading = operation.method == "GET" or name in CHANGES_NOTHING
        assert (scope is ApiKeyScope.READ) == is_reading


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/incidents", "incidents:write"),
        ("DELETE", "/v1/incidents/7", "admin"),
        ("DELETE", "/v1/incidents/7/assign/8", "incidents:write"),
        ("POST", "/v1/incidents/7/anything/new", "incidents:write"),
        ("POST", "/v1/escalation/incidents/7/escalate", "incidents:write"),
        ("PUT", "/v1/escalation/policies/7", "policies:write"),
        ("POST", "/v1/users", "admin"),
        ("PUT", "/v1/users/7", "admin"),
        ("POST", "/v1/anything/new", "admin"),
        ("GET", "/v1/anything/new", "read"),
        ("HEAD", "/v1/incidents", "read"),
        ("GET", "/v1/api-keys", "admin"),
        ("PUT", "/v1/users/me", None),
        ("PUT", "/v1/users/me/anything/new", None),
        ("GET", "/v1/users/me/sessions", None),
        ("GET", "/somewhere/else", None),
        ("PUT", "/prefix/v1/users/me", None),
    ],
)
def test_a_new_route_gets_the_careful_scope(method: str, path: str, scope: str | None) -> None:
    assert scope_for(method, path) == scope


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "never gathered"}], ids=["gathered", "ordinary"])
def test_a_key_without_the_scope_is_told_which_one_it_lacks(
    client: TestClient, admin: Person, headers: dict[str, str]
) -> None:
    key = machine(client, admin, "read", "policies:write")
    with capture_logs() as logs:
        refusal = problem(key.send("POST /incidents", INCIDENT, headers=headers), 403)
    assert refusal["detail"] == "The key lacks the scope incidents:write."
    assert [line["reason"] for line in logs if line["event"] == "api_key_refused"] == ["scope"]
    assert admin.on(client).call("GET /incidents") == []


def test_a_key_that_may_write_incidents_does_not_read_them(client: TestClient, admin: Person) -> None:
    key = machine(client, admin, "incidents:write")
    incident = key.open()
    refusal = problem(key.send(f"GET /incidents/{incident['id']}"), 403)
    assert refusal["detail"] == "The key lacks the scope read."


def test_the_scope_admin_includes_the_others(client: TestClient, admin: Person) -> None:
    key = machine(client, admin, "admin")
    key.open()
    key.call("GET /incidents")
    policy = {"name": "all", "actions": [{"type": "notify", "target": "admins"}]}
    key.call("POST /escalation/policies", policy, wants=201)
    key.call("POST /users", {"email": "new@example.com", "password": PASSWORD}, wants=201)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /api-keys", {"name": "another", "scopes": ["read"]}),
        ("PUT /users/me", {"full_name": "Eve"}),
        ("GET /users/me/sessions", None),
        ("PUT /notification-preferences/me/email", {"enabled": False}),
    ],
)
def test_no_key_may_do_what_is_for_people_only(
    client: TestClient, admin: Person, line: str, body: dict[str, object] | None
) -> None:
    refusal = problem(machine(client, admin, "admin").send(line, body), 403)
    assert refusal["detail"] == "API keys may not do this. Log in with an e-mail address and a password."
    assert len(admin.on(client).call("GET /api-keys")) == 1


def test_a_key_works_with_a_trailing_slash_too(client: TestClient, user: Person) -> None:
    key = machine(client, user, "read")
    key.call("GET /incidents/")
    problem(key.send("PUT /users/me/", {"full_name": "Eve"}), 403)


def test_only_an_administrator_gives_the_scope_admin(client: TestClient, user: Person) -> None:
    body = {"name": "x", "scopes": ["admin"], "current_password": PASSWORD}
    refusal = problem(user.on(client).send("POST /api-keys", body), 403)
    assert refusal["detail"] == "Only administrators may make a key with the scope admin. Leave the scope out."


def test_the_scope_admin_needs_the_current_password(client: TestClient, admin: Person) -> None:
    body = {"name": "x", "scopes": ["read", "admin"]}
    for given, code in (({}, "invalid_input"), ({"current_password": "wrong"}, "wrong_password")):
        refusal = problem(admin.on(client).send("POST /api-keys", {**body, **given}), 422, pointer="/current_password")
        assert refusal["code"] == code
    assert admin.on(client).call("GET /api-keys") == []
    admin.on(client).call("POST /api-keys", {**body, "current_password": PASSWORD}, wants=201)


def test_other_scopes_need_no_password(client: TestClient, admin: Person) -> None:
    body = {"name": "x", "scopes": ["read", "incidents:write", "policies:write"]}
    assert admin.on(client).call("POST /api-keys", body, wants=201)["scopes"] == body["scopes"]
