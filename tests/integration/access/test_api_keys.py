"""Keys for machines: who makes them, for whom they act, and when they end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from structlog.testing import capture_logs

from app.core import api_key
from app.db.session import Database
from app.utils.service_locator import Services
from app.utils.startup import make_admin
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.contention import stored_text
from tests.support.keys import machine, made, sent_with
from tests.support.scenario import Opener
from tests.support.statements import statements
from tests.support.world import CHEAP_PASSWORDS, PASSWORD, Clock, Person

SignUp = Callable[..., Person]
NEW = {"name": "deploy bot", "scopes": ["read"]}
RECORD = {
    "id", "name", "scopes", "prefix", "created_by", "created_by_name", "created_at", "expires_at", "last_used_at",
}  # fmt: skip
ORDINARY = {"Idempotency-Key": "never gathered"}


def refused(api: Api, said: str, status: int = 401) -> None:
    """A key is refused with these words, by a gathered request as by an ordinary one."""
    for headers in ({}, ORDINARY):
        assert problem(api.send("GET /users/me", headers=headers), status)["detail"] == said


def test_a_key_is_answered_once_and_its_record_always(client: TestClient, user: Person) -> None:
    new = user.on(client).call("POST /api-keys", NEW, wants=201)
    assert new.keys() == RECORD | {"key"}
    assert (new["name"], new["scopes"], new["created_by"]) == ("deploy bot", ["read"], user.id)
    assert new["key"].startswith(new["prefix"])
    assert (new["expires_at"], new["last_used_at"]) == (None, None)
    [listed] = user.on(client).call("GET /api-keys")
    assert listed == {name: value for name, value in new.items() if name != "key"}


def test_of_a_key_only_the_fingerprint_is_stored(client: TestClient, user: Person, database: Database) -> None:
    with capture_logs() as logs:
        key = made(client, user, "read")["key"]
    stored = stored_text(database, "api_keys", "idempotency_keys")
    assert key not in stored
    assert api_key.proof_of(key).fingerprint in stored
    assert key not in str(logs)


def test_a_key_acts_as_whoever_made_it(client: TestClient, user: Person) -> None:
    key = machine(client, user, "read", "incidents:write")
    for headers in ({}, ORDINARY):
        assert key.call("GET /users/me", headers=headers)["id"] == user.id
    incident = key.open()
    assert incident["created_by"] == user.id
    comment = key.call(f"POST /incidents/{incident['id']}/comments", {"content": "From the machine."})
    assert comment["user_id"] == user.id


@pytest.mark.parametrize(
    ("role", "status"), [({"role": "viewer"}, 403), ({}, 201), ({"is_superuser": True}, 201)], ids=str
)
def test_a_key_has_no_more_rights_than_its_owner(
    client: TestClient, sign_up: SignUp, role: dict[str, Any], status: int
) -> None:
    owner = sign_up(**role)
    key = machine(client, owner, "incidents:write", "policies:write")
    body = {"title": "Disk full", "severity": "low", "service": "db"}
    assert key.send("POST /incidents", body).status_code == status
    policy = {"name": "all", "actions": [{"type": "notify", "target": "admins"}]}
    assert (key.send("POST /escalation/policies", policy).status_code == 201) is ("is_superuser" in role)


def test_a_key_loses_the_rights_that_its_owner_loses(client: TestClient, sign_up: SignUp, admin: Person) -> None:
    owner = sign_up(is_superuser=True)
    key = machine(client, owner, "admin")
    key.call("GET /users")
    admin.on(client).call(f"PUT /users/{owner.id}", {"is_superuser": False})
    problem(key.send("GET /users"), 403)
    key.call("GET /incidents")


def test_acknowledging_by_key_assigns_nobody(client: TestClient, user: Person, open_incident: Opener) -> None:
    key = machine(client, user, "read", "incidents:write")
    for line, body in (("POST {}/acknowledge", None), ("PUT {}", {"status": "acknowledged"})):
        path = f"/incidents/{open_incident()['id']}"
        moved = key.call(line.format(path), body)
        assert (moved["status"], moved["assigned_to"]) == ("acknowledged", None)
        assert key.call(f"GET {path}")["assignments"] == []


def test_the_timeline_names_the_person_and_the_key(client: TestClient, user: Person) -> None:
    new = made(client, user, "read", "incidents:write")
    key = Api(client, sent_with(new["key"]))
    path = f"/incidents/{key.open()['id']}"
    key.call(f"POST {path}/acknowledge", {"comment": "On it."})
    key.call(f"POST {path}/resolve", headers=ORDINARY)
    key.call(f"PUT {path}", {"title": "Disk full again"})
    entries = [entry for entry in key.call(f"GET {path}/timeline") if entry["user_id"] is not None]
    assert [entry["event_type"] for entry in reversed(entries)] == [
        "created", "acknowledged", "commented", "resolved", "updated",
    ]  # fmt: skip
    assert {(entry["user_id"], entry["metadata"].get("api_key_id")) for entry in entries} == {(user.id, new["id"])}
    user.on(client).call(f"POST {path}/reopen")
    assert "api_key_id" not in user.on(client).call(f"GET {path}/timeline")[0]["metadata"]


def test_a_person_who_acknowledges_after_the_key_takes_the_incident(client: TestClient, user: Person) -> None:
    key = machine(client, user, "incidents:write")
    path = f"/incidents/{key.open()['id']}"
    key.call(f"POST {path}/acknowledge")
    key.call(f"POST {path}/reopen")
    assert user.on(client).call(f"POST {path}/acknowledge")["assigned_to"] == user.id


@pytest.mark.parametrize(
    "change", [lambda key: key[:-1], lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"), lambda key: "ims_"]
)
def test_a_mistyped_key_is_refused_without_a_statement(
    client: TestClient, user: Person, database: Database, change: Callable[[str], str]
) -> None:
    key = made(client, user, "read")["key"]
    with statements(database) as seen, capture_logs() as logs:
        refused(Api(client, sent_with(change(key))), api_key.MISTYPED)
    assert [statement for statement in seen if "SAVEPOINT" not in statement] == []
    assert {(line["event"], line["reason"]) for line in logs if line["log_level"] == "warning"} == {
        ("api_key_refused", "malformed")
    }
    assert key not in str(logs)


def test_a_key_that_was_never_made_is_refused(client: TestClient, user: Person) -> None:
    refused(Api(client, sent_with(api_key.new())), "There is no such API key.")


def test_a_revoked_key_ends_at_once_and_leaves_the_list(client: TestClient, user: Person, database: Database) -> None:
    new, other = made(client, user, "read"), made(client, user, "read", name="another")
    key = Api(client, sent_with(new["key"]))
    key.call("GET /users/me")
    with capture_logs() as logs:
        revoked = user.on(client).call(f"DELETE /api-keys/{new['id']}")
    assert (revoked["id"], revoked["name"]) == (new["id"], new["name"])
    assert [line["api_key_id"] for line in logs if line["event"] == "api_key_revoked"] == [new["id"]]
    assert ("api_key.revoked", str(new["id"])) in [(line.get("action"), line.get("object_id")) for line in logs]
    refused(key, "The API key has been revoked.")
    problem(user.on(client).send(f"DELETE /api-keys/{new['id']}"), 404)
    assert [listed["id"] for listed in user.on(client).call("GET /api-keys")] == [other["id"]]
    assert f",{new['prefix']}," in stored_text(database, "api_keys")  # the record is kept


def test_a_key_ends_when_it_expires(client: TestClient, user: Person, clock: Clock) -> None:
    key = machine(client, user, "read", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    clock.advance(minutes=59)
    key.call("GET /users/me")
    clock.advance(minutes=2)
    with capture_logs() as logs:
        refused(key, "The API key has expired. Make a new one.")
    assert "expired" in [line.get("reason") for line in logs]


def test_a_key_that_has_expired_already_is_refused(client: TestClient, user: Person) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    refusal = problem(user.on(client).send("POST /api-keys", {**NEW, "expires_at": past}), 422, pointer="/expires_at")
    assert refusal["detail"] == "expires_at is in the past. Set a time to come, or leave it out."
    assert user.on(client).call("GET /api-keys") == []


@pytest.mark.parametrize("change", [{"is_active": False}, None], ids=["deactivated", "deleted"])
def test_a_key_ends_with_the_account_of_its_owner_and_the_answer_warns(
    client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None
) -> None:
    new = made(client, user, "read")
    path = f"/users/{user.id}"
    answer = admin.on(client).call(f"PUT {path}", change) if change else admin.on(client).call(f"DELETE {path}")
    assert f"The API key “a machine” ({new['prefix']}…) has ended: it acted as this account." in answer["warnings"]
    refused(Api(client, sent_with(new["key"])), "The API key has been revoked.")


def test_a_key_stays_ended_when_the_account_is_opened_again(client: TestClient, user: Person, admin: Person) -> None:
    key = machine(client, user, "read")
    for is_active in (False, True):
        answer = admin.on(client).call(f"PUT /users/{user.id}", {"is_active": is_active})
    assert not [warning for warning in answer["warnings"] if "API key" in warning]
    refused(key, "The API key has been revoked.")


def test_only_keys_that_could_be_used_are_warned_of(
    client: TestClient, user: Person, admin: Person, clock: Clock
) -> None:
    made(client, user, "read", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    clock.advance(hours=2)
    answer = admin.on(client).call(f"PUT /users/{user.id}", {"is_active": False})
    assert not [warning for warning in answer["warnings"] if "API key" in warning]


@pytest.mark.parametrize("closed", ["is_active = false", "deleted_at = now()"])
def test_a_closed_account_has_no_keys_even_unrevoked_ones(
    client: TestClient, user: Person, database: Database, closed: str
) -> None:
    key = machine(client, user, "read")
    with database.transaction() as session:
        session.execute(text(f"UPDATE users SET {closed}"))
    refused(key, "The API key has ended, because the account of its owner is not active.")


def test_a_new_password_ends_sessions_and_no_keys(client: TestClient, user: Person) -> None:
    key = machine(client, user, "read")
    user.on(client).call("PUT /users/me", {"password": "another password", "current_password": PASSWORD})
    key.call("GET /users/me")


def test_promoting_an_account_ends_the_keys_of_whoever_had_it(
    client: TestClient, user: Person, services: Services
) -> None:
    key = machine(client, user, "read")
    with services.database.transaction() as session:
        make_admin(session, user.email, PASSWORD, CHEAP_PASSWORDS)
    refused(key, "The API key has been revoked.")


def test_a_person_sees_and_revokes_their_own_keys_only(
    client: TestClient, user: Person, admin: Person, sign_up: SignUp
) -> None:
    stranger = sign_up(full_name="Ada Lovelace")
    mine, theirs = made(client, user, "read"), made(client, stranger, "read")
    assert [key["id"] for key in user.on(client).call("GET /api-keys")] == [mine["id"]]
    refusal = problem(user.on(client).send(f"DELETE /api-keys/{theirs['id']}"), 404)
    assert refusal["detail"] == f"There is no API key {theirs['id']}."
    listed = admin.on(client).call("GET /api-keys")
    assert [(key["id"], key["created_by_name"]) for key in listed] == [
        (mine["id"], "user"),
        (theirs["id"], "Ada Lovelace"),
    ]
    assert admin.on(client).call(f"DELETE /api-keys/{theirs['id']}")["id"] == theirs["id"]


def test_the_list_of_keys_has_pages(client: TestClient, user: Person) -> None:
    ids = [made(client, user, "read", name=f"key {number}")["id"] for number in range(3)]
    first = user.on(client).send("GET /api-keys?limit=2")
    second = client.get(first.links["next"]["url"], headers=user.headers)
    assert [key["id"] for key in first.json()] + [key["id"] for key in second.json()] == ids
    assert "Link" not in second.headers


def test_the_last_use_is_noted_at_most_once_a_minute(
    client: TestClient, user: Person, database: Database, clock: Clock
) -> None:
    key = machine(client, user, "read")
    times = []
    for seconds in (0, 30, 31):
        clock.advance(seconds=seconds)
        with statements(database) as seen:
            key.call("GET /users/me")
        noted = [statement for statement in seen if statement.startswith("UPDATE api_keys")]
        times.append((len(noted), user.on(client).call("GET /api-keys")[0]["last_used_at"]))
    assert [count for count, _ in times] == [1, 0, 1]
    assert times[0][1] == times[1][1] < times[2][1]


def test_a_refused_key_is_not_noted_as_used(client: TestClient, user: Person) -> None:
    problem(machine(client, user, "read").send("POST /incidents", {}), 403)
    assert user.on(client).call("GET /api-keys")[0]["last_used_at"] is None


@pytest.mark.parametrize("headers", [{}, ORDINARY])
def test_a_request_of_a_person_asks_nothing_about_keys(
    client: TestClient, user: Person, database: Database, headers: dict[str, str]
) -> None:
    with statements(database) as seen:
        user.on(client).call("GET /users/me", headers=headers)
    assert not [statement for statement in seen if "api_keys" in statement]


def test_a_key_is_no_token_of_a_webhook(client: TestClient, user: Person) -> None:
    """Without a token of its own the webhook is open here: the key is not even looked at."""
    key = machine(client, user, "read")
    key.call("POST /alerts/elastic", {"id": "a"}, wants=201)
    assert user.on(client).call("GET /api-keys")[0]["last_used_at"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "x"}, "/scopes"),
        ({"name": "", "scopes": ["read"]}, "/name"),
        ({"name": "x" * 101, "scopes": ["read"]}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["write"]}, "/scopes/0"),
        ({"name": "x", "scopes": ["read", "read"]}, "/scopes"),
        ({"name": "x", "scopes": "read"}, "/scopes"),
        ({"name": "x", "scopes": ["read"], "expires_at": "tomorrow"}, "/expires_at"),
        ({"name": "x", "scopes": ["read"], "unknown": 1}, "/unknown"),
    ],
)
def test_a_key_without_a_name_or_a_known_scope_is_refused(
    client: TestClient, user: Person, body: dict[str, Any], pointer: str
) -> None:
    problem(user.on(client).send("POST /api-keys", body), 422, pointer=pointer)


def test_making_a_key_is_logged_and_audited(client: TestClient, user: Person) -> None:
    with capture_logs() as logs:
        new = made(client, user, "incidents:write", "read")
    [line] = [line for line in logs if line["event"] == "api_key_created"]
    assert (line["api_key_id"], line["user_id"], line["scopes"]) == (new["id"], user.id, ["read", "incidents:write"])
    assert ("api_key.created", str(new["id"])) in [(line.get("action"), line.get("object_id")) for line in logs]
