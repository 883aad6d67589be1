"""Every example of a request body that the OpenAPI document shows works when it is sent."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.session import Database
from tests.conftest import Outbox, Person
from tests.operations import WITH_BODY, Operation, resolved

FORM = "application/x-www-form-urlencoded"
ACCOUNT = {"email": "user@example.com", "password": "securepassword"}
MAKES_THE_ACCOUNT = "/v1/auth/signup"
LISTED = [(operation, media_type) for operation in WITH_BODY for media_type in sorted(operation.media_types)]


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
def world(
    client: TestClient, first_admin: Person, add_policy: Callable[..., Any], open_incident: Callable[..., Any]
) -> Person:
    """One incident, one policy, and an administrator with everything's number 1."""
    assert add_policy()["id"] == 1
    assert open_incident(by=first_admin)["id"] == 1
    return first_admin


@pytest.fixture
def secrets(client: TestClient, world: Person, tick: Callable[[], None], outbox: Outbox) -> Callable[[], Any]:
    """What no example can know: tokens that were really handed out."""

    def run() -> dict[str, str]:
        assert client.post(f"/v1/auth/password-recovery/{world.email}").status_code == 200
        tick()
        [token] = re.findall(r"^[\w-]{43}$", outbox.sent[-1].body, re.MULTILINE)
        return {"token": token, "refresh_token": world.refresh_token}

    return run


@pytest.mark.parametrize(("operation", "media_type"), LISTED, ids=lambda value: str(value))
def test_an_example_works(
    client: TestClient, world: Person, secrets: Callable[[], dict[str, str]], operation: Operation, media_type: str
) -> None:
    if operation.path != MAKES_THE_ACCOUNT:
        assert client.post(MAKES_THE_ACCOUNT, json=ACCOUNT).status_code == 201
    shown = examples(operation.spec["requestBody"]["content"][media_type])
    assert shown or media_type == "*/*"
    for example in shown:
        body = example | {name: secret for name, secret in secrets().items() if name in example}
        sent = {"data": body} if media_type == FORM else {"json": body}
        answer = client.request(operation.method, operation.url(), headers=world.headers, **sent)
        assert answer.is_success, answer.text
