"""The OpenAPI document names every error with its code, and its examples are what the service really answers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from app.api.errors import STATUSES, status_of
from app.api.middleware.body_limit import BodyLimits, too_slow
from app.api.problem_examples import GENERAL, MEANINGS, USUAL
from app.core import errors
from app.core.config import Settings
from app.core.vocabulary import ErrorCode
from app.db.session import Database, connect
from app.main import MAX_BODY_BYTES
from app.schemas.health import WorkerHealth
from app.utils.service_locator import build_services
from tests.support.documented import codes
from tests.support.operations import DOCUMENT, OPERATIONS, Operation, sample
from tests.support.serving import answer as received
from tests.support.serving import serving
from tests.support.world import PASSWORD, Outbox, Person

# Not in an answer below /v1: of policies, of the pages behind a link, of what no operation takes or expects, and of
# what stands before all operations.
ELSEWHERE = {
    *(ErrorCode.CYCLE_LIMIT_REACHED, ErrorCode.LINK_EXPIRED, ErrorCode.BAD_REQUEST, ErrorCode.METHOD_NOT_ALLOWED),
    *(ErrorCode.HTTP_ERROR, ErrorCode.INTERNAL, ErrorCode.HTTPS_REQUIRED, ErrorCode.HOST_NOT_SERVED),
}
UNLIKE = {"request_id", "instance"}
INCIDENT = {"title": "Disk full", "severity": "low", "service": "db"}
STRICT = [o for o in OPERATIONS if ErrorCode.VALIDATION_ERROR in codes(o, 422) and "callbacks" not in o.path]


def domain_errors(kind: type[errors.DomainError] = errors.DomainError) -> Iterator[type[errors.DomainError]]:
    """Every error of the domain that has a code of its own or inherits one."""
    for inherited in kind.__subclasses__():
        if inherited.__module__ == errors.__name__:
            yield inherited
            yield from domain_errors(inherited)


def status_of_kind(kind: type[errors.DomainError]) -> int:
    return status_of(kind.__new__(kind))


def named(operation_id: str) -> Operation:
    [found] = [operation for operation in OPERATIONS if operation.spec["operationId"] == operation_id]
    return found


def shown(operation_id: str, status: int, code: str) -> dict[str, Any]:
    example: dict[str, Any] = codes(named(operation_id), status)[code]["value"]
    return example


def require_as_shown(answer: Response, operation_id: str, status: int, code: str) -> None:
    """The answer is the document's example, but for what differs from request to request."""
    example, given = shown(operation_id, status, code), answer.json()
    assert answer.status_code == status, answer.text
    assert {k: v for k, v in given.items() if k not in UNLIKE} == {k: v for k, v in example.items() if k not in UNLIKE}
    assert given.keys() == example.keys()
    headers = named(operation_id).spec["responses"][str(status)].get("headers", {})
    assert all(name in answer.headers for name in headers)


def test_the_problem_lists_every_code_with_its_meaning() -> None:
    schema = DOCUMENT["components"]["schemas"]["ErrorCode"]
    assert schema["enum"] == list(ErrorCode)
    assert MEANINGS.keys() == set(ErrorCode)
    assert all(f"- `{code}`: {meaning}" in schema["description"] for code, meaning in MEANINGS.items())
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["$ref"].endswith("/ErrorCode")


def test_every_error_of_the_table_is_on_the_responses_where_it_can_occur() -> None:
    found = {
        (int(status), code) for o in OPERATIONS for status in o.spec["responses"] for code in codes(o, int(status))
    }
    table = {(status_of_kind(kind), kind.code) for kind in domain_errors()}
    assert {kind for kind in STATUSES if kind not in domain_errors()} == set()
    general = {(status, code) for code, (status, _) in GENERAL.items()} | {(422, ErrorCode.VALIDATION_ERROR)}
    assert found == {(status, code) for status, code in table | general if code not in ELSEWHERE}
    assert {code for _, code in found} | ELSEWHERE == set(ErrorCode)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_response_names_its_codes_and_shows_an_example_of_each(operation: Operation) -> None:
    for status, response in operation.spec["responses"].items():
        for code, example in codes(operation, int(status)).items():
            assert f"`{code}`: {example['summary']}" in response["description"]
            value = example["value"]
            assert (value["code"], value["status"]) == (code, int(status))
            assert value["detail"] == value["message"] != ""
            assert value["instance"] == operation.url()
            assert ("errors" in value) == (status == "422" and code != ErrorCode.UNSTORABLE_VALUE)


def test_an_error_has_one_usual_example() -> None:
    assert len({type(error) for error in USUAL}) == len(USUAL)


@pytest.mark.parametrize("operation", STRICT, ids=str)
def test_the_example_of_invalid_input_is_what_is_answered(
    client: TestClient, admin: Person, operation: Operation
) -> None:
    body = sample(operation.schema) if "application/json" in operation.media_types else None
    headers = admin.headers if operation.needs_login else {}
    answer = client.request(operation.method, f"{operation.url()}?colour=red", headers=headers, json=body)
    require_as_shown(answer, operation.spec["operationId"], 422, "validation_error")
    assert answer.json()["instance"] == codes(operation, 422)["validation_error"]["value"]["instance"]


@pytest.mark.parametrize(
    ("line", "headers", "operation_id", "status", "code"),
    [
        ("GET /v1/users/me", {"Authorization": "Bearer nonsense"}, "read_me", 401, "not_authenticated"),
        ("GET /v1/users", None, "list_users", 403, "permission_denied"),
        ("GET /v1/incidents/1", None, "read_incident", 404, "not_found"),
        ("PUT /v1/notification-preferences/me/email", None, "set_my_preference", 415, "unsupported_media_type"),
        ("POST /v1/notification-preferences/me/sms/verify", None, "verify_my_address", 409, "channel_unusable"),
        ("POST /v1/users/me/email/verify", None, "verify_my_email", 409, "conflict"),
        ("GET /v1/incidents?skip=10001", None, "list_incidents", 422, "invalid_input"),
        ("GET /v1/users/directory?skip=10001", None, "search_directory", 422, "invalid_input"),
        ("POST /v1/incidents/{id}/snooze", None, "snooze_incident", 422, "invalid_input"),
    ],
)
def test_an_example_without_a_body_is_what_is_answered(
    client: TestClient,
    user: Person,
    open_incident: Callable[..., Any],
    line: str,
    headers: dict[str, str] | None,
    operation_id: str,
    status: int,
    code: str,
) -> None:
    method, path = line.split(" ")
    path = path.format(id=open_incident()["id"]) if "{id}" in path else path
    content = b"hello" if status == 415 else None
    answer = client.request(method, path, headers=headers or user.headers, content=content)
    require_as_shown(answer, operation_id, status, code)


@pytest.mark.parametrize(
    ("line", "body", "operation_id", "status", "code"),
    [
        ("POST /auth/signup", {"email": "user@example.com", "password": PASSWORD}, "sign_up", 409, "email_taken"),
        ("POST /auth/login/access-token", {"username": "u@example.com", "password": "x"}, "log_in", 401,
         "wrong_credentials"),
        ("POST /auth/login/refresh-token", {"refresh_token": "x" * 43}, "refresh_tokens", 401, "not_authenticated"),
        ("POST /auth/reset-password", {"token": "x" * 43, "new_password": PASSWORD}, "reset_password", 400,
         "invalid_reset_token"),
        ("PUT /users/me", {"email": "new@example.com"}, "update_me", 422, "invalid_input"),
        ("PUT /users/me", {"email": "new@example.com", "current_password": "wrong"}, "update_me", 422,
         "wrong_password"),
        ("PUT /notification-preferences/me", {"channels": ["apprise"]}, "order_my_channels", 422, "invalid_input"),
        ("PUT /notification-preferences/me/apprise", {"address": "x"}, "set_my_preference", 403, "permission_denied"),
        ("PUT /notification-preferences/me/sms", {"address": "0"}, "set_my_preference", 422, "invalid_input"),
        ("POST /incidents", {**INCIDENT, "description": "x" * MAX_BODY_BYTES}, "create_incident", 413,
         "body_too_large"),
    ],
)  # fmt: skip
def test_an_example_is_what_is_answered(
    client: TestClient, user: Person, line: str, body: Any, operation_id: str, status: int, code: str
) -> None:
    require_as_shown(user.on(client).send(line, body), operation_id, status, code)


@pytest.mark.parametrize(
    ("line", "body", "operation_id", "status", "code"),
    [
        (
            "POST /escalation/preview",
            {"at": "2099-01-01T00:00:00Z", "incident": INCIDENT},
            "preview_escalation",
            422,
            "invalid_input",
        ),
        ("PUT /notification-templates/email/page", {"body": " "}, "set_template", 422, "invalid_input"),
        ("GET /escalation/policies/1", None, "read_policy", 404, "not_found"),
        ("GET /notification-preferences/web-push-key", None, "read_web_push_key", 404, "not_found"),
    ],
)
def test_an_example_is_what_an_administrator_is_answered(
    client: TestClient, admin: Person, line: str, body: Any, operation_id: str, status: int, code: str
) -> None:
    require_as_shown(admin.on(client).send(line, body), operation_id, status, code)


def test_the_last_administrator_stays_in_the_words_of_the_example(client: TestClient, admin: Person) -> None:
    require_as_shown(admin.on(client).send(f"DELETE /users/{admin.id}"), "delete_user", 409, "last_admin")


def test_the_examples_of_a_move_that_is_impossible_are_answered(
    client: TestClient, user: Person, open_incident: Callable[..., Any]
) -> None:
    incident = open_incident()
    user.on(client).call(f"POST /incidents/{incident['id']}/resolve")
    for action in ("acknowledge", "snooze?hours=1"):
        name = f"{action.partition('?')[0]}_incident"
        answer = user.on(client).send(f"POST /incidents/{incident['id']}/{action}")
        require_as_shown(answer, name, 409, "invalid_transition")


def test_a_key_that_is_used_again_is_refused_as_shown(client: TestClient, user: Person) -> None:
    api = user.on(client)
    api.call("POST /incidents", INCIDENT, wants=201, headers={"Idempotency-Key": "one"})
    answer = api.send("POST /incidents", {**INCIDENT, "title": "Other"}, headers={"Idempotency-Key": "one"})
    require_as_shown(answer, "create_incident", 409, "idempotency_key_reused")


def test_too_many_logins_are_refused_as_shown(
    application: FastAPI, settings: Settings, database: Database, client: TestClient
) -> None:
    limited = settings.model_copy(update={"rate_limit_enabled": True})
    application.state.services = build_services(limited, database, channels={"email": Outbox()})
    wrong = {"username": "somebody@example.com", "password": "wrong"}
    answers = [client.post("/v1/auth/login/access-token", json=wrong) for _ in range(11)]
    require_as_shown(answers[-1], "log_in", 429, "too_many_requests")


def test_an_unreachable_database_is_told_as_shown(
    application: FastAPI, settings: Settings, client: TestClient, deaf_port: int
) -> None:
    away = connect(f"postgresql://nobody@127.0.0.1:{deaf_port}/nothing", pool_size=1)
    application.state.services = build_services(settings, away, channels={"email": Outbox()})
    require_as_shown(client.get("/health"), "read_health", 503, "database_unavailable")
    away.dispose()


def test_a_stalled_worker_is_told_as_shown(client: TestClient, application: FastAPI) -> None:
    known = application.state.worker_health
    stalled = shown("read_health", 503, "worker_stalled")["worker"]
    application.state.worker_health = lambda: WorkerHealth(**stalled)
    try:
        answer = client.get("/health")
    finally:
        application.state.worker_health = known
    assert answer.status_code == 503
    example = shown("read_health", 503, "worker_stalled")
    assert {**answer.json(), "request_id": ""} == {**example, "request_id": ""}


def test_headers_that_are_too_large_are_refused_as_shown(application: FastAPI) -> None:
    with serving(application) as service:
        sent = received(service.connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 40_000 + b"\r\n\r\n"))
    head, _, body = sent.partition(b"\r\n\r\n")
    example, given = shown("read_root", 431, "headers_too_large"), json.loads(body)
    assert head.startswith(b"HTTP/1.1 431 ")
    assert {k: v for k, v in given.items() if k not in UNLIKE} == {k: v for k, v in example.items() if k not in UNLIKE}


def test_a_slow_body_is_refused_as_shown() -> None:
    refusal = too_slow(BodyLimits(MAX_BODY_BYTES, MAX_BODY_BYTES).seconds)
    example = shown("create_incident", 408, "request_timeout")
    assert (refusal.status, refusal.code, str(refusal)) == (408, example["code"], example["detail"])
