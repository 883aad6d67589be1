"""What viewers may do: read incidents, and change their own profile."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.session import Database
from tests.support.answers import problem
from tests.support.operations import OPERATIONS, Operation, sample
from tests.support.page_links import press
from tests.support.scenario import Opener, Tick, act, events, notify, timeline
from tests.support.world import Outbox, Person

SignUp = Callable[..., Person]

VIEWERS_MAY = {
    "check_token",
    "read_me",
    "update_me",
    "verify_my_email",
    "confirm_my_email",
    "list_incidents",
    "read_incident",
    "list_comments",
    "list_timeline",
    # Their own channels are part of their profile.
    "list_my_preferences",
    "order_my_channels",
    "set_my_preference",
    "verify_my_address",
    "confirm_my_address",
    "test_my_channel",
    "read_web_push_key",
    # Their own sessions, and keys that act for them.
    *("list_my_sessions", "revoke_my_session"),
    *("create_api_key", "list_api_keys", "revoke_api_key"),
    # Of an incident that they were paged for or acknowledged by a page's link.
    "list_incident_notifications",
    "explain_incident",
    "list_escalation_events",
    "list_incident_escalation_events",
}
ADMINS_ONLY = {
    "list_audit_entries",
    *("read_log_level", "set_log_level", "reset_log_level"),
    *("list_users", "create_user", "read_user", "update_user", "delete_user"),
    "delete_incident",
    *("list_policies", "create_policy", "read_policy", "update_policy", "delete_policy", "preview_escalation"),
    *("list_preferences", "set_preference", "list_workers", "list_channels", "reset_channel"),
    *("list_templates", "read_template", "set_template", "reset_template", "preview_template"),
}
GUARDED = [operation for operation in OPERATIONS if operation.needs_login]


@pytest.fixture
def viewer(client: TestClient, admin: Person, sign_up: SignUp) -> Person:
    person = sign_up("viewer@example.com")
    admin.on(client).call(f"PUT /users/{person.id}", {"role": "viewer"})
    return person


def ask(client: TestClient, operation: Operation, by: Person | None, incident_id: int) -> Any:
    """Try an operation with a good body on an incident that exists."""
    body = sample(operation.schema) if operation.reads_strictly else None
    url = operation.url(**({"incident_id": incident_id} if "{incident_id}" in operation.path else {}))
    return client.request(operation.method, url, json=body, headers=by.headers if by else {})


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_who_may_call_an_operation(
    client: TestClient, viewer: Person, user: Person, admin: Person, open_incident: Opener, operation: Operation
) -> None:
    """A new route is closed to viewers, and fails here, until this table says otherwise."""
    name = operation.spec["operationId"]
    incident_id = open_incident(by=user)["id"]
    problem(ask(client, operation, None, incident_id), 401)
    is_of_the_involved = name in {
        *("list_incident_notifications", "explain_incident"),
        *("list_escalation_events", "list_incident_escalation_events"),
    }
    is_open = name in VIEWERS_MAY and not is_of_the_involved
    assert (ask(client, operation, viewer, incident_id).status_code == 403) is not is_open
    assert (ask(client, operation, user, incident_id).status_code == 403) is (name in ADMINS_ONLY)
    assert ask(client, operation, admin, incident_id).status_code != 403
    assert ("403" in operation.spec["responses"]) or is_open


def test_the_role_is_set_by_administrators_only(client: TestClient, user: Person, admin: Person) -> None:
    assert user.on(client).call("GET /users/me")["role"] == "responder"
    assert user.on(client).call("PUT /users/me", {"role": "viewer"})["role"] == "responder"
    new = {"email": "new@example.com", "password": "horse battery staple", "role": "viewer"}
    assert admin.on(client).call("POST /users", new, wants=201)["role"] == "viewer"
    assert admin.on(client).call(f"PUT /users/{user.id}", {"role": "viewer"})["role"] == "viewer"
    assert user.on(client).call("PUT /users/me", {"role": "responder", "full_name": "Ada"})["role"] == "viewer"
    problem(admin.on(client).send(f"PUT /users/{user.id}", {"role": "boss"}), 422, pointer="/role")


def test_signing_up_never_grants_a_role(client: TestClient) -> None:
    body = {"email": "a@example.com", "password": "horse battery staple", "role": "viewer"}
    assert client.post("/v1/auth/signup", json=body).json()["role"] == "responder"


def test_an_administrator_keeps_their_rights_whatever_the_role(client: TestClient, admin: Person) -> None:
    admin.on(client).call(f"PUT /users/{admin.id}", {"role": "viewer"})
    admin.on(client).open()


def test_a_viewer_who_was_paged_acts_by_the_link_and_reads_why(
    client: TestClient, viewer: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=viewer.id)]}])
    incident = open_incident()
    tick()
    assert press(client, str(outbox.sent[0].pages[0].link).partition(":8000")[2], "acknowledge").status_code == 303
    found = viewer.on(client).call(f"GET /incidents/{incident['id']}")
    assert (found["status"], found["assigned_to"]) == ("acknowledged", viewer.id)
    assert [a["user_id"] for a in found["assignments"]] == [viewer.id]
    viewer.on(client).call(f"GET /incidents/{incident['id']}/why")
    problem(viewer.on(client).send(f"POST /incidents/{incident['id']}/escalate"), 403)


def test_who_was_paged_sees_the_record_and_escalates(
    client: TestClient, admin: Person, sign_up: SignUp, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    paged, stranger = sign_up(), sign_up()
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=paged.id)]}])
    incident = open_incident()
    tick()
    base = f"/incidents/{incident['id']}"
    for line in (f"GET {base}/why", f"GET {base}/notifications", f"GET {base}/escalation-events"):
        paged.on(client).call(line)
        problem(stranger.on(client).send(line), 403)
    problem(stranger.on(client).send(f"POST {base}/escalate"), 403)
    paged.on(client).call(f"POST {base}/escalate")
    assert events(client, incident, admin)


def test_acknowledging_makes_an_assignee_and_the_owner_if_there_is_none(
    client: TestClient, user: Person, sign_up: SignUp, open_incident: Opener
) -> None:
    somebody = sign_up()
    incident = open_incident()
    assert act(client, incident, "acknowledge", somebody)["assigned_to"] == somebody.id
    [assignment] = user.on(client).call(f"GET /incidents/{incident['id']}")["assignments"]
    assert (assignment["user_id"], assignment["role"]) == (somebody.id, "responder")
    assert timeline(client, incident, user)[:2] == ["acknowledged", "assigned"]
    act(client, incident, "reopen", user)
    assert act(client, incident, "acknowledge", user)["assigned_to"] == somebody.id  # there is an owner
    found = user.on(client).call(f"GET /incidents/{incident['id']}")
    assert [a["user_id"] for a in found["assignments"]] == [somebody.id, user.id]


def test_acknowledging_keeps_the_role_that_somebody_has(
    client: TestClient, user: Person, open_incident: Opener
) -> None:
    incident = open_incident()
    path = f"/incidents/{incident['id']}"
    user.on(client).call(f"POST {path}/assign", {"user_id": user.id, "role": "lead"})
    user.on(client).call(f"PUT {path}", {"assigned_to": None})
    assert user.on(client).call(f"PUT {path}", {"status": "acknowledged"})["assigned_to"] == user.id
    assert [a["role"] for a in user.on(client).call(f"GET {path}")["assignments"]] == ["lead"]
    assert timeline(client, incident, user)[:2] == ["acknowledged", "updated"]


def test_whoever_acknowledged_once_may_still_see_and_escalate(
    client: TestClient, user: Person, sign_up: SignUp, open_incident: Opener
) -> None:
    somebody = sign_up()
    incident = open_incident()
    act(client, incident, "acknowledge", somebody)
    user.on(client).call(f"DELETE /incidents/{incident['id']}/assign/{somebody.id}")
    somebody.on(client).call(f"GET /incidents/{incident['id']}/why")
    act(client, incident, "escalate", somebody)


def test_a_user_of_the_release_before_is_a_responder(database: Database) -> None:
    """Its INSERT does not name the column."""
    with database.transaction() as session:
        insert = "INSERT INTO users (email, hashed_password) VALUES ('old@example.com', 'x') RETURNING role"
        assert session.scalar(text(insert)) == "responder"
