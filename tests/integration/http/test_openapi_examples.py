"""Every example of a request body that the OpenAPI document shows works when it is sent."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.session import Database
from tests.support.operations import SIGNED, WITH_BODY, Operation, resolved
from tests.support.world import PASSWORD, Outbox, Person

pytestmark = pytest.mark.slow

FORM = "application/x-www-form-urlencoded"
ACCOUNT = {"email": "user@example.com", "password": "securepassword"}
TOKEN = re.compile(r"/reset-password/([\w-]{43})$", re.MULTILINE)
CODE = re.compile(r"\b\d{6}\b")
NEW_ADDRESS = "moved@example.com"
CONFIRMS_THE_ADDRESS = "/v1/users/me/email/confirm"
MAKES_THE_ACCOUNT = "/v1/auth/signup"
LISTED = [
    (operation, kind)
    for operation in WITH_BODY
    if operation.path not in SIGNED
    for kind in sorted(operation.media_types)
]


def examples(content: dict[str, Any]) -> list[Any]:
    """The examples of a body: its own, or its schema's."""
    schema = content["schema"]
    variants = [resolved(variant) for variant in schema.get("anyOf", [schema])]
    found = [example for variant in variants for example in variant.get("examples", [])]
    return [content["example"]] if "example" in content else found


@pytest.fixture
def numbered_from_one(database: Database) -> None:
    """The examples name user 1, incident 1 and policy 1."""
    with database.transaction() as session:
        session.execute(text("TRUNCATE users, incidents, escalation_policies RESTART IDENTITY CASCADE"))


@pytest.fixture
def first_admin(numbered_from_one: None, admin: Person) -> Person:
    assert admin.id == 1
    return admin


@pytest.fixture
def world(client: TestClient, first_admin: Person, add_policy: Callable[..., Any]) -> Person:
    """One incident, one policy, and an administrator: each is number 1."""
    incident = {"title": "Disk full", "severity": "low", "service": "database"}
    assert first_admin.on(client).call("POST /incidents", incident, wants=201)["id"] == 1
    assert add_policy()["id"] == 1
    return first_admin


@pytest.fixture
def secrets(client: TestClient, world: Person, tick: Callable[[], None], outbox: Outbox) -> dict[str, str]:
    """What no example can know: what was really handed out."""
    assert client.post(f"/v1/auth/password-recovery/{world.email}").status_code == 200
    verify = "/v1/notification-preferences/me/email/verify"
    assert client.post(verify, headers=world.headers).status_code == 200
    world.on(client).call("PUT /users/me", {"email": NEW_ADDRESS, "current_password": PASSWORD})
    tick()
    [token] = [token for mail in outbox.sent for token in TOKEN.findall(mail.body)]
    codes = {mail.address: CODE.findall(mail.body)[0] for mail in outbox.sent if mail.kind == "verification"}
    return {"token": token, "refresh_token": world.refresh_token, **codes}


@pytest.mark.parametrize(("operation", "media_type"), LISTED, ids=str)
def test_an_example_works(
    client: TestClient, world: Person, secrets: dict[str, str], operation: Operation, media_type: str
) -> None:
    if operation.path != MAKES_THE_ACCOUNT:
        assert client.post(MAKES_THE_ACCOUNT, json=ACCOUNT).status_code == 201
    shown = examples(operation.spec["requestBody"]["content"][media_type])
    assert shown
    for example in shown:
        known = {**secrets, "code": secrets[NEW_ADDRESS if operation.path == CONFIRMS_THE_ADDRESS else world.email]}
        body = example | {name: secret for name, secret in known.items() if name in example}
        sent = {"data": body} if media_type == FORM else {"json": body}
        answer = client.request(operation.method, operation.url(), headers=world.headers, **sent)
        assert answer.is_success, answer.text
