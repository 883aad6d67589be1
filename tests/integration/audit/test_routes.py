"""Every route that changes configuration or access leaves an entry, with who, from where and what, and no secret."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.core.audit_actions import AuditAction
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.support.api import Api
from tests.support.audited import TABLES, logged
from tests.support.contention import stored_text
from tests.support.operations import OPERATIONS
from tests.support.preferences import codes
from tests.support.scenario import Tick
from tests.support.world import PASSWORD, Outbox, Person

SECRET = "xq7confided-horse-battery"
ACTIVE = {"is_active": False}
PUSH_TOPIC = f"https://ntfy.example.com/{SECRET}"
INCIDENTS = "the incident's timeline records it"
OWN = "people's own channels are theirs"
NOTHING = "it changes no configuration"
# Every route that is not audited, and why.
NOT_AUDITED = {
    "POST /v1/incidents": INCIDENTS,
    "PUT /v1/incidents/{incident_id}": INCIDENTS,
    "PATCH /v1/incidents/{incident_id}": INCIDENTS,
    "POST /v1/incidents/{incident_id}/acknowledge": INCIDENTS,
    "POST /v1/incidents/{incident_id}/resolve": INCIDENTS,
    "POST /v1/incidents/{incident_id}/reopen": INCIDENTS,
    "POST /v1/incidents/{incident_id}/snooze": INCIDENTS,
    "POST /v1/incidents/{incident_id}/assign": INCIDENTS,
    "DELETE /v1/incidents/{incident_id}/assign/{user_id}": INCIDENTS,
    "POST /v1/incidents/{incident_id}/comments": INCIDENTS,
    "POST /v1/incidents/{incident_id}/escalate": INCIDENTS,
    "POST /v1/escalation/incidents/{incident_id}/escalate": INCIDENTS,
    "PUT /v1/notification-preferences/me": OWN,
    "PUT /v1/notification-preferences/me/{channel}": OWN,
    "POST /v1/notification-preferences/me/{channel}/verify": OWN,
    "POST /v1/notification-preferences/me/{channel}/confirm": OWN,
    "POST /v1/notification-preferences/me/{channel}/test": OWN,
    "POST /v1/users/me/email/verify": NOTHING,
    "POST /v1/auth/login/refresh-token": NOTHING,
    "POST /v1/auth/login/test-token": NOTHING,
    "POST /v1/auth/password-recovery/{email}": NOTHING,
    "POST /v1/escalation/preview": NOTHING,
    "POST /v1/notification-templates/{channel}/{event}/preview": NOTHING,
    "POST /v1/notifications/callbacks/twilio": NOTHING,
}


@dataclass
class Stage:
    """Who and what a route acts on. Each call has a request id of its own."""

    client: TestClient
    admin: Person
    user: Person
    tick: Tick
    outbox: Outbox
    request_id: str = field(default_factory=lambda: uuid4().hex)

    def call(self, line: str, body: Any = None, *, by: Person | None = None, wants: int = 200) -> Any:
        headers = {**(by.headers if by is not None else {}), "X-Request-ID": self.request_id}
        return Api(self.client).call(line, body, headers=headers, wants=wants)

    def prepared(self, line: str, body: Any = None, *, wants: int = 200) -> Any:
        """What an administrator did before, in another request."""
        return self.admin.on(self.client).call(line, body, wants=wants)

    def policy(self) -> Any:
        return self.prepared("POST /escalation/policies", policy(), wants=201)


@dataclass(frozen=True)
class Case:
    """What a route leaves: entries of these actions, in their order, by whom, about what, with which fields."""

    act: Callable[[Stage], object]
    actions: list[AuditAction]
    object_type: str
    fields: set[str]
    by: str | None = "admin"
    has_session: bool = True


def policy(**fields: Any) -> dict[str, Any]:
    webhook = {"type": "webhook", "url": f"https://hooks.example.com/{SECRET}", "body": {"key": SECRET}}
    steps = [{"delay_minutes": 0, "actions": [{"type": "notify", "target": "admins"}, webhook]}]
    return {"name": f"policy-{uuid4().hex[:8]}", "conditions": {"service": "db"}, "steps": steps, **fields}


def account(**fields: Any) -> dict[str, Any]:
    return {"email": f"{uuid4().hex[:8]}@example.com", "password": SECRET, **fields}


def change_user(body: dict[str, Any]) -> Callable[[Stage], object]:
    return lambda stage: stage.call(f"PUT /users/{stage.user.id}", body, by=stage.admin)


def change_me(body: dict[str, Any]) -> Callable[[Stage], object]:
    return lambda stage: stage.call("PUT /users/me", {**body, "current_password": PASSWORD}, by=stage.user)


def confirm_address(stage: Stage) -> None:
    body = {"email": "new@example.com", "current_password": PASSWORD}
    stage.user.on(stage.client).call("PUT /users/me", body)
    stage.tick()
    [code] = codes_to(stage.outbox, "new@example.com")
    stage.call("POST /users/me/email/confirm", {"code": code}, by=stage.user)


def codes_to(outbox: Outbox, address: str) -> list[str]:
    return codes(Outbox(sent=[sent for sent in outbox.sent if sent.address == address]))


def reset_password(stage: Stage) -> None:
    Api(stage.client).call(f"POST /auth/password-recovery/{stage.user.email}")
    stage.tick()
    token = stage.outbox.sent[-1].body.split("/reset-password/")[1].split()[0]
    stage.call("POST /auth/reset-password", {"token": token, "new_password": SECRET})


def change_policy(body: dict[str, Any]) -> Callable[[Stage], object]:
    return lambda stage: stage.call(f"PUT /escalation/policies/{stage.policy()['id']}", body, by=stage.admin)


def reset_template(stage: Stage) -> None:
    stage.prepared("PUT /notification-templates/teams/test", {"body": "All is well."})
    stage.call("DELETE /notification-templates/teams/test", by=stage.admin)


def reset_log_level(stage: Stage) -> None:
    stage.prepared("PUT /log-level", {"level": "DEBUG"})
    stage.call("DELETE /log-level", by=stage.admin)


def make_key(stage: Stage) -> Any:
    return stage.call("POST /api-keys", {"name": "robot", "scopes": ["read"]}, by=stage.admin, wants=201)


def revoke_key(stage: Stage) -> None:
    made = stage.prepared("POST /api-keys", {"name": "robot", "scopes": ["read"]}, wants=201)
    stage.call(f"DELETE /api-keys/{made['id']}", by=stage.admin)


def end_session(stage: Stage) -> None:
    [session] = stage.user.on(stage.client).call("GET /users/me/sessions")
    stage.call(f"DELETE /users/me/sessions/{session['id']}", by=stage.user)


def delete_incident(stage: Stage) -> None:
    incident = stage.prepared("POST /incidents", {"title": "t", "severity": "high", "service": "db"}, wants=201)
    stage.call(f"DELETE /incidents/{incident['id']}", by=stage.admin)


def post_alert(stage: Stage) -> None:
    Api(stage.client).call(
        "POST /alerts/elastic",
        {"id": "a"},
        headers={"X-Webhook-Token": SECRET, "X-Request-ID": stage.request_id},
        wants=201,
    )


A = AuditAction
USER_FIELDS = {"email", "full_name", "phone_number", "is_active", "is_superuser", "role", "is_address_proved"}
POLICY_FIELDS = {"name", "description", "conditions", "steps", "is_active", "repeat", "runbook_url"}
KEY_FIELDS = {"name", "scopes", "expires_at"}
CASES: dict[str, list[Case]] = {
    "POST /v1/api-keys": [Case(make_key, [A.API_KEY_CREATED], "api_key", KEY_FIELDS)],
    "DELETE /v1/api-keys/{api_key_id}": [Case(revoke_key, [A.API_KEY_REVOKED], "api_key", {"revoked_at"})],
    "DELETE /v1/users/me/sessions/{session_id}": [
        Case(end_session, [A.SESSION_REVOKED], "session", {"revoked_at"}, by="user")
    ],
    "DELETE /v1/incidents/{incident_id}": [
        Case(
            delete_incident,
            [A.INCIDENT_DELETED],
            "incident",
            {"title", "status", "severity", "service", "source", "created_by", "created_at"},
        )
    ],
    "POST /v1/auth/signup": [
        Case(
            lambda s: s.call("POST /auth/signup", account(), wants=201),
            [A.USER_SIGNED_UP],
            "user",
            USER_FIELDS,
            by="new",
            has_session=False,
        )
    ],
    "POST /v1/auth/login/access-token": [
        Case(
            lambda s: s.call("POST /auth/login/access-token", {"username": s.user.email, "password": PASSWORD}),
            [A.LOGIN_SUCCEEDED],
            "user",
            set(),
            by="user",
        ),
        Case(
            lambda s: s.call(
                "POST /auth/login/access-token", {"username": s.user.email, "password": SECRET}, wants=401
            ),
            [A.LOGIN_REFUSED],
            "user",
            {"attempts"},
            by=None,
            has_session=False,
        ),
    ],
    "POST /v1/auth/logout": [
        Case(
            lambda s: s.call("POST /auth/logout", {"refresh_token": s.user.refresh_token}),
            [A.SESSION_LOGGED_OUT],
            "session",
            set(),
            by="user",
        )
    ],
    "POST /v1/auth/reset-password": [
        Case(reset_password, [A.USER_PASSWORD_RESET], "user", set(), by="user", has_session=False)
    ],
    "POST /v1/users": [
        Case(lambda s: s.call("POST /users", account(), by=s.admin, wants=201), [A.USER_CREATED], "user", USER_FIELDS)
    ],
    "PUT /v1/users/{user_id}": [
        Case(change_user({"full_name": "Ada"}), [A.USER_UPDATED], "user", {"full_name"}),
        Case(change_user({"role": "viewer"}), [A.USER_RIGHTS_CHANGED], "user", {"role"}),
        Case(change_user({"is_superuser": True}), [A.USER_RIGHTS_CHANGED], "user", {"is_superuser"}),
        Case(change_user(ACTIVE), [A.USER_DEACTIVATED], "user", {"is_active"}),
        Case(change_user({"password": SECRET}), [A.USER_PASSWORD_CHANGED], "user", set()),
        Case(change_user({"email": "other@example.com"}), [A.USER_UPDATED], "user", {"email"}),
        Case(
            change_user({"role": "viewer", "full_name": "Ada", "password": SECRET}),
            [A.USER_RIGHTS_CHANGED, A.USER_PASSWORD_CHANGED, A.USER_UPDATED],
            "user",
            {"role", "full_name"},
        ),
        Case(change_user({}), [], "user", set()),
    ],
    "DELETE /v1/users/{user_id}": [
        Case(
            lambda s: s.call(f"DELETE /users/{s.user.id}", by=s.admin),
            [A.USER_DELETED],
            "user",
            {"email", "full_name"},
        )
    ],
    "PUT /v1/users/me": [
        Case(change_me({"full_name": "Ada"}), [A.USER_UPDATED], "user", {"full_name"}, by="user"),
        Case(change_me({"email": "new@example.com"}), [A.USER_UPDATED], "user", {"pending_email"}, by="user"),
        Case(change_me({"password": SECRET}), [A.USER_PASSWORD_CHANGED], "user", set(), by="user"),
    ],
    "POST /v1/users/me/email/confirm": [
        Case(confirm_address, [A.USER_ADDRESS_CONFIRMED], "user", {"email", "pending_email"}, by="user")
    ],
    "POST /v1/escalation/policies": [
        Case(
            lambda s: s.call("POST /escalation/policies", policy(), by=s.admin, wants=201),
            [A.POLICY_CREATED],
            "policy",
            POLICY_FIELDS,
        )
    ],
    "PUT /v1/escalation/policies/{policy_id}": [
        Case(change_policy({"repeat": 3}), [A.POLICY_UPDATED], "policy", {"repeat"}),
        Case(change_policy(ACTIVE), [A.POLICY_SWITCHED_OFF], "policy", {"is_active"}),
        Case(
            change_policy({**ACTIVE, "steps": policy()["steps"][:1] * 2}),
            [A.POLICY_SWITCHED_OFF, A.POLICY_UPDATED],
            "policy",
            {"is_active", "steps"},
        ),
        Case(change_policy({"is_active": True}), [], "policy", set()),
    ],
    "DELETE /v1/escalation/policies/{policy_id}": [
        Case(
            lambda s: s.call(f"DELETE /escalation/policies/{s.policy()['id']}", by=s.admin),
            [A.POLICY_DELETED],
            "policy",
            POLICY_FIELDS,
        )
    ],
    "PUT /v1/notification-templates/{channel}/{event}": [
        Case(
            lambda s: s.call("PUT /notification-templates/teams/test", {"body": "All is well."}, by=s.admin),
            [A.TEMPLATE_SET],
            "template",
            {"body"},
        )
    ],
    "DELETE /v1/notification-templates/{channel}/{event}": [
        Case(reset_template, [A.TEMPLATE_RESET], "template", {"body"}),
        Case(lambda s: s.call("DELETE /notification-templates/sms/test", by=s.admin), [], "template", set()),
    ],
    "PUT /v1/log-level": [
        Case(
            lambda s: s.call("PUT /log-level", {"level": "DEBUG"}, by=s.admin),
            [A.LOG_LEVEL_SET],
            "settings",
            {"level", "until"},
        )
    ],
    "DELETE /v1/log-level": [
        Case(reset_log_level, [A.LOG_LEVEL_RESET], "settings", {"level", "until"}),
        Case(lambda s: s.call("DELETE /log-level", by=s.admin), [], "settings", set()),
    ],
    "PUT /v1/notification-preferences/{user_id}/{channel}": [
        Case(
            lambda s: s.call(f"PUT /notification-preferences/{s.user.id}/push", {"address": PUSH_TOPIC}, by=s.admin),
            [A.PREFERENCE_SET],
            "preference",
            {"address", "verified_address"},
        ),
        Case(
            lambda s: s.call(f"PUT /notification-preferences/{s.user.id}/email", {"enabled": False}, by=s.admin),
            [A.PREFERENCE_SET],
            "preference",
            {"is_enabled"},
        ),
        Case(
            lambda s: s.call(f"PUT /notification-preferences/{s.admin.id}/email", {"enabled": False}, by=s.admin),
            [],
            "preference",
            set(),
        ),
    ],
    "POST /v1/channels/{channel}/reset": [
        Case(
            lambda s: s.call("POST /channels/email/reset", by=s.admin),
            [A.CHANNEL_RESET],
            "channel",
            {"provider", "open_providers"},
        )
    ],
    "POST /v1/alerts/elastic": [
        Case(post_alert, [A.WEBHOOK_TOKEN_ACCEPTED], "webhook", set(), by=None, has_session=False)
    ],
}


@pytest.fixture
def stage(
    client: TestClient,
    application: FastAPI,
    services: Services,
    admin: Person,
    user: Person,
    tick: Tick,
    outbox: Outbox,
) -> Stage:
    settings = services.settings.model_copy(update={"elastic_webhook_token": SecretStr(SECRET)})
    application.state.services = build_services(settings, services.database, channels=services.channels)
    return Stage(client, admin, user, tick, outbox)


def test_every_route_that_writes_is_in_one_of_the_tables() -> None:
    writing = {str(operation) for operation in OPERATIONS if operation.method != "GET"}
    assert writing == NOT_AUDITED.keys() | CASES.keys()
    assert not NOT_AUDITED.keys() & CASES.keys()


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{route} {number}") for route, cases in CASES.items() for number, case in enumerate(cases)],
)
def test_a_route_leaves_its_entries_and_no_secret(stage: Stage, database: Database, case: Case) -> None:
    case.act(stage)
    found = [entry for entry in _all(stage) if entry["request_id"] == stage.request_id]
    assert [entry["action"] for entry in reversed(found)] == case.actions
    actors = {"admin": stage.admin.id, "user": stage.user.id, None: None}
    for entry in found:
        assert entry["object_type"] == case.object_type
        assert entry["object_id"]
        assert entry["actor_id"] == (int(entry["object_id"]) if case.by == "new" else actors[case.by])
        assert bool(entry["session_id"]) is case.has_session
        assert entry["sender"] == "testclient"
    assert {name for entry in found for name in entry["changes"]} == case.fields
    assert SECRET not in stored_text(database, *TABLES)
    assert PASSWORD not in stored_text(database, *TABLES)


def test_what_a_secret_stands_in_shows_that_it_changed(stage: Stage) -> None:
    stage.prepared(f"PUT /notification-preferences/{stage.user.id}/push", {"address": PUSH_TOPIC})
    [entry] = logged(stage.admin.on(stage.client), action="preference.set")
    assert entry["changes"]["address"]["to"] == "https://ntfy.example.com/***"
    created = stage.policy()
    [entry] = logged(stage.admin.on(stage.client), object_type="policy", object_id=created["id"])
    [step] = entry["changes"]["steps"]["to"]
    assert step["actions"][1] == {"type": "webhook", "url": "https://hooks.example.com/***", "body": "***"}


@pytest.mark.parametrize("line", ["PUT /users/me", "POST /users", "POST /escalation/policies"])
def test_a_request_that_is_refused_leaves_no_entry(stage: Stage, line: str) -> None:
    before = len(_all(stage))
    bodies = {
        "PUT /users/me": {"full_name": "Eve", "password": SECRET},
        "POST /users": account(email=stage.user.email),
        "POST /escalation/policies": policy(name=""),
    }
    assert stage.admin.on(stage.client).send(line, bodies[line]).status_code in {409, 422}
    assert len(_all(stage)) == before


def _all(stage: Stage) -> list[dict[str, Any]]:
    return logged(stage.admin.on(stage.client), limit=500)
