"""What happens around every request: its id, its headers, its slash, its origin, and what nobody caught."""

import io
import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.core.vocabulary import Environment
from app.main import create_app
from app.schemas.user import Signup
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.logs import captured
from tests.support.operations import DOCUMENT, OPERATIONS, Operation
from tests.support.world import Person

ORIGIN = "https://app.example"
SECRET = "never-in-a-log"
STRICT = "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("given", ["abc", "a.b_c-1", "x" * 128])
def test_the_senders_own_request_id_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 129, b"a/b", b"\xe9", b"a\tb", b"<script>"])
def test_a_request_id_that_could_not_be_logged_is_replaced(client: TestClient, given: bytes) -> None:
    answers = [client.get("/v1/users/me", headers=[(b"X-Request-ID", given)]) for _ in range(2)]
    ids = {problem(answer, 401)["request_id"] for answer in answers}
    assert len(ids) == 2
    assert all(len(made_up) == 32 for made_up in ids)


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/v1/users/me", 401), ("/nothing", 404), ("/v1/openapi.json", 200)]
)
def test_every_answer_tells_browsers_to_trust_nothing(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == STRICT
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/auth/password-recovery/user@example.com"])
def test_answers_of_the_api_are_not_stored_on_the_way(client: TestClient, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [(Environment.PRODUCTION, "max-age=31536000; includeSubDomains"), (Environment.DEVELOPMENT, None)],
)
def test_browsers_are_held_to_https_in_production_only(
    services: Services, environment: Environment, expected: str | None
) -> None:
    settings = services.settings.model_copy(update={"environment": environment})
    with TestClient(create_app(settings, services)) as client:
        assert client.get("/health").headers.get("strict-transport-security") == expected


class WithQuery:
    """An application to which the client sends these bytes as the query."""

    def __init__(self, app: ASGIApp, query: bytes) -> None:
        self.app, self.query = app, query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "query_string": self.query} if scope["type"] == "http" else scope, receive, send)


@pytest.mark.parametrize("query", [b"\xff", b"q=\xed\xa0\x80&x=%FF", b"\xc3\xbc=1"])
@pytest.mark.parametrize(("path", "status"), [("/v1/users/me", 401), ("/nothing", 404), ("/v1/incidents", 401)])
def test_raw_bytes_in_a_query_are_no_defect(
    application: FastAPI, client: TestClient, query: bytes, path: str, status: int
) -> None:
    problem(TestClient(WithQuery(application, query)).get(path), status)


UNDER_V1 = [operation for operation in OPERATIONS if operation.path.startswith("/v1/")]


@pytest.mark.slow
@pytest.mark.parametrize("operation", UNDER_V1, ids=str)
@pytest.mark.parametrize("slashes", ["/", "//"])
def test_a_trailing_slash_makes_no_difference(client: TestClient, operation: Operation, slashes: str) -> None:
    body: dict[str, str] | None = {} if operation.media_types else None
    answers = [client.request(operation.method, operation.url() + end, json=body) for end in ("", slashes)]
    plain, slashed = [(a.status_code, a.headers["content-type"], a.json().get("instance")) for a in answers]
    assert slashed == plain
    assert not [answer for answer in answers if answer.history]


def test_a_trailing_slash_costs_neither_body_nor_login(client: TestClient, user: Person) -> None:
    body = {"title": "Disk full /", "severity": "low", "service": "db"}
    answer = user.on(client).send("POST /incidents/", body, follow_redirects=False)
    assert (answer.status_code, answer.json()["title"]) == (201, "Disk full /")


def test_a_slash_in_the_query_stays(client: TestClient, user: Person) -> None:
    for title in ("Disk full /", "Disk full"):
        user.on(client).send("POST /incidents", {"title": title, "severity": "low", "service": "db"})
    found = user.on(client).send("GET /incidents/?q=/", follow_redirects=False)
    assert [incident["title"] for incident in found.json()] == ["Disk full /"]


def test_the_document_lists_no_path_with_a_trailing_slash() -> None:
    assert [path for path in DOCUMENT["paths"] if path.endswith("/")] == ["/"]


@pytest.fixture(scope="module")
def shareable(default_settings: Settings) -> FastAPI:
    """An application that pages of one other origin may use."""
    return create_app(default_settings.model_copy(update={"backend_cors_origins": [ORIGIN]}))


@pytest.fixture
def shared(shareable: FastAPI, services: Services) -> Iterator[TestClient]:
    """A service that pages of one other origin may use."""
    shareable.state.services = services
    with TestClient(shareable) as client:
        yield client


@pytest.mark.parametrize(("path", "status"), [("/health", 200), ("/v1/users/me", 401), ("/nothing", 404)])
def test_an_allowed_origin_may_read_answers_and_errors(shared: TestClient, path: str, status: int) -> None:
    answer = shared.get(path, headers={"Origin": ORIGIN})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert {"Link", "X-Request-ID"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil.example", "null", "http://app.example"]
)
def test_another_origin_may_not(shared: TestClient, origin: str) -> None:
    assert "access-control-allow-origin" not in shared.get("/health", headers={"Origin": origin}).headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_allowed_origin_may_send_what_the_api_takes(shared: TestClient, method: str) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = shared.options("/v1/incidents", headers=asked)
    assert answer.status_code == 200
    assert method in answer.headers["access-control-allow-methods"]
    assert "idempotency-key" in answer.headers["access-control-allow-headers"].lower()


def test_no_origin_is_allowed_unless_one_is_set(client: TestClient) -> None:
    assert "access-control-allow-origin" not in client.get("/health", headers={"Origin": ORIGIN}).headers


@pytest.fixture(params=Environment)
def log(request: pytest.FixtureRequest, services: Services) -> Iterator[tuple[TestClient, io.StringIO]]:
    """A service with a route that breaks, and what it logs at its most talkative, in either form."""
    settings = services.settings.model_copy(update={"environment": request.param, "log_level": "DEBUG"})
    app = create_app(settings, services)

    @app.post("/v1/broken")
    def break_down(body: Signup) -> None:
        raise RuntimeError(f"nobody expects {len(body.password)} characters")

    with TestClient(app) as client, captured() as lines:
        yield client, lines


def test_what_nobody_caught_is_a_problem_with_every_header(log: tuple[TestClient, io.StringIO]) -> None:
    client, _ = log
    answer = client.post("/v1/broken", json={"email": "user@example.com", "password": SECRET})
    assert problem(answer, 500)["code"] == "internal"
    assert "characters" not in answer.text
    assert answer.headers["content-security-policy"] == STRICT
    assert answer.headers["cache-control"] == "no-store"


def test_a_crash_is_logged_with_its_place_but_without_its_data(
    log: tuple[TestClient, io.StringIO],
) -> None:
    client, lines = log
    request_id = uuid4().hex
    body = {"email": "user@example.com", "password": SECRET}
    client.post("/v1/broken", json=body, headers={"X-Request-ID": request_id})
    logged = lines.getvalue()
    assert "request_failed" in logged
    assert request_id in logged
    assert "nobody expects 14 characters" in logged
    assert "break_down" in logged
    assert SECRET not in logged
    assert "user@example.com" not in logged


def test_in_production_every_line_of_the_log_is_json(log: tuple[TestClient, io.StringIO]) -> None:
    client, lines = log
    client.post("/v1/broken", json={"email": "user@example.com", "password": SECRET})
    if client.app.state.settings.is_production:  # type: ignore[attr-defined]  # an ASGI app, as far as types go
        events = [json.loads(line) for line in lines.getvalue().splitlines()]
        assert {"request_failed", "request_finished"} <= {event["event"] for event in events}


@pytest.mark.parametrize("address", ["bob@example.com", "%0Abob@example.com", "a/bob@example.com"])
def test_the_address_in_a_path_is_not_logged(log: tuple[TestClient, io.StringIO], address: str) -> None:
    client, lines = log
    client.post(f"/v1/auth/password-recovery/{address}")
    assert "request_finished" in lines.getvalue()
    assert "bob" not in lines.getvalue()
