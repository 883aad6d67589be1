"""What was told in confidence is repeated nowhere: not in an answer, not in a log."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.vocabulary import Environment
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import Services
from tests.support.contention import stored_text
from tests.support.logs import captured
from tests.support.operations import WITH_STRICT_BODY, Operation, sample
from tests.support.world import Person

pytestmark = pytest.mark.slow

MARK = "xq7-confided"
CONFIDED = {"current_password", "password", "new_password", "token", "refresh_token", "client_secret"}
WITH_SECRETS = [o for o in WITH_STRICT_BODY if CONFIDED & {leaf.pointer[1:] for leaf in o.leaves("string")}]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(params=Environment)
def log(request: pytest.FixtureRequest, services: Services, admin: Person) -> Iterator[tuple[TestClient, io.StringIO]]:
    """The API at its most talkative, in either form of the log."""
    settings = services.settings.model_copy(update={"environment": request.param, "log_level": "DEBUG"})
    with TestClient(create_app(settings, services)) as client, captured() as lines:
        yield client, lines


def bodies(operation: Operation, field: str) -> list[bytes]:
    """Bodies with the mark in the field: right, wrong, and no JSON at all."""
    right = {**sample(operation.schema), field: MARK}
    wrong: list[Any] = [
        {**right, "unknown": 1},
        {**right, field: [MARK]},
        {**right, field: {MARK: MARK}},
        {**right, field: MARK * 1000},
        {**right, field: f"{MARK}\x00"},
        {**right, field: f"{MARK}\ud800"},
        {field: MARK},
        [right],
        MARK,
    ]
    texts = [json.dumps(body).encode() for body in (*wrong, right)]
    return [texts[-1][:-1], MARK.encode(), *texts]


def test_these_operations_are_told_secrets() -> None:
    assert {str(operation) for operation in WITH_SECRETS} == {
        "POST /v1/auth/login/access-token",
        "POST /v1/auth/login/refresh-token",
        "POST /v1/auth/logout",
        "POST /v1/auth/reset-password",
        "POST /v1/auth/signup",
        "POST /v1/api-keys",
        "POST /v1/users",
        "PUT /v1/users/me",
        "PUT /v1/users/{user_id}",
    }


@pytest.mark.parametrize("operation", WITH_SECRETS, ids=str)
def test_a_secret_in_a_body_is_not_repeated(
    log: tuple[TestClient, io.StringIO], admin: Person, operation: Operation
) -> None:
    client, lines = log
    url = operation.url(user_id=admin.id)
    for field in CONFIDED & {leaf.pointer[1:] for leaf in operation.leaves("string")}:
        for body in bodies(operation, field):
            for media_type in ("text/plain", "application/json"):
                headers = {**admin.headers, "Content-Type": media_type, "Idempotency-Key": "key"}
                answer = client.request(operation.method, url, content=body, headers=headers)
                assert MARK not in answer.text, (body, answer.text)
    assert url in lines.getvalue()
    assert MARK not in lines.getvalue()


@pytest.mark.parametrize("more", ["", "&username=a", "&username=a&x=1", "&username=a&grant_type=x", "&username=a&&&"])
def test_a_secret_in_a_form_is_not_repeated(log: tuple[TestClient, io.StringIO], more: str) -> None:
    client, lines = log
    form = f"password={MARK}{more}"
    answer = client.post("/v1/auth/login/access-token", content=form, headers={"Content-Type": FORM})
    assert answer.status_code in {401, 422}
    assert MARK not in answer.text
    assert MARK not in lines.getvalue()


@pytest.mark.parametrize("header", ["Bearer {}", "Basic {}", "{}", "Bearer {}.a.b"])
def test_a_secret_in_a_header_is_not_repeated(log: tuple[TestClient, io.StringIO], header: str) -> None:
    client, lines = log
    answer = client.get("/v1/users/me", headers={"Authorization": header.format(MARK), "X-Webhook-Token": MARK})
    assert answer.status_code == 401
    assert MARK not in answer.text
    assert MARK not in lines.getvalue()


def test_what_is_kept_of_a_request_does_not_let_anybody_try_passwords_out(
    client: TestClient, admin: Person, database: Database
) -> None:
    """A plain hash of the body would: address and key are known, and it costs nothing to compute."""
    body = {"email": "new@example.com", "password": MARK}
    admin.on(client).call("POST /users", body, headers={"Idempotency-Key": "key"}, wants=201)
    stored = stored_text(database, "idempotency_keys")
    texts = [
        json.dumps(body, sort_keys=keys, separators=marks) for keys in (True, False) for marks in (None, (",", ":"))
    ]
    assert "new@example.com" in stored
    assert MARK not in stored
    assert not [said for said in texts if hashlib.sha256(said.encode()).hexdigest() in stored]


def test_a_statement_that_failed_does_not_say_what_it_was_to_store(own_database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, own_database.transaction() as session:
        session.execute(text("INSERT INTO refresh_tokens (token_hash) VALUES (:mark)"), {"mark": MARK})
    assert "token_hash" in str(caught.value)
    assert f"'{MARK}'" not in str(caught.value)
