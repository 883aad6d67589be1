"""The line that each request leaves in the log: who, from where, which route, how it ended, in which trace."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.request_context import RequestContext
from app.core import plain_lines
from app.core.config import Settings
from app.main import create_app
from tests.support.keys import machine, made
from tests.support.logs import captured
from tests.support.scenario import Opener
from tests.support.world import PASSWORD, Person

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
ORDINARY = {"Idempotency-Key": "never gathered"}
SENDER = "testclient"
EVENTS = {"request_finished", "client_disconnected"}

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Reads the lines of requests so far, as production writes them."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    plain_lines.configure(is_json=True)
    with captured() as log:
        yield lambda: _requests(log)
    plain_lines.configure(is_json=False)
    root.setLevel(level)


def _requests(log: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in log.getvalue().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] in EVENTS]


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_a_line_says_everything_about_a_request(
    client: TestClient, admin: Person, lines: Lines, way: dict[str, str]
) -> None:
    answer = admin.on(client).send("GET /users/me", headers={**TRACED, **way})
    [line] = lines()
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request_finished",
        "level": "info",
        "logger": "app.requests",
        "method": "GET",
        "path": "/v1/users/me",
        "route": "/v1/users/me",
        "status": 200,
        "user_id": admin.id,
        "sender": SENDER,
        "request_id": answer.headers["x-request-id"],
        "trace_id": TRACE,
    }


@pytest.mark.parametrize("way", [{}, ORDINARY], ids=["gathered", "ordinary"])
def test_a_line_names_the_key_and_whose_it_is(
    client: TestClient, user: Person, lines: Lines, way: dict[str, str]
) -> None:
    key = made(client, user, "read")
    client.get("/v1/users/me", headers={"Authorization": f"Bearer {key['key']}", **way})
    line = lines()[-1]
    assert (line["api_key_id"], line["user_id"]) == (key["id"], user.id)
    assert key["key"] not in json.dumps(lines())


def test_a_line_names_the_route_whatever_the_path(
    client: TestClient, admin: Person, lines: Lines, open_incident: Opener
) -> None:
    id_ = open_incident()["id"]
    for path in (f"/incidents/{id_}", f"/incidents/{id_}/", f"/incidents/{id_}?limit=x"):
        admin.on(client).send(f"GET {path}")
    admin.on(client).send(f"DELETE /incidents/{id_}")
    assert {line["route"] for line in lines()[-4:]} == {"/v1/incidents/{incident_id}"}
    client.get("/nowhere")
    assert lines()[-1]["route"] == "unmatched"


@pytest.mark.parametrize(
    ("line", "body", "status"),
    [
        ("GET /users", None, 403),
        ("POST /incidents", {"title": 7}, 422),
        ("GET /incidents/2000000000", None, 404),
    ],
)
def test_a_refusal_names_who_was_refused(
    client: TestClient, user: Person, lines: Lines, line: str, body: Any, status: int
) -> None:
    user.on(client).send(line, body)
    [said] = lines()
    assert (said["status"], said.get("user_id")) == (status, user.id)


def test_a_request_without_a_token_names_nobody(client: TestClient, lines: Lines) -> None:
    client.get("/v1/users/me")
    [line] = lines()
    assert line["status"] == 401
    assert not {"user_id", "api_key_id"} & line.keys()


def test_a_login_names_who_logged_in(client: TestClient, admin: Person, lines: Lines) -> None:
    for password, status in (("wrong", 401), (PASSWORD, 200)):
        client.post("/v1/auth/login/access-token", json={"username": admin.email, "password": password})
        assert (lines()[-1]["status"], lines()[-1].get("user_id")) == (status, admin.id if status == 200 else None)
    assert admin.email not in json.dumps(lines())


@pytest.mark.parametrize("malformed", ["", "x", f"00-{TRACE}-00f067aa0ba902b7-01-x", "ü" * 500])
def test_a_malformed_trace_begins_a_new_one(client: TestClient, lines: Lines, malformed: str) -> None:
    header = (b"traceparent", malformed.encode())
    assert client.get("/v1/users/me", headers=[header]).status_code == 401
    trace_id = lines()[0]["trace_id"]
    assert len(trace_id) == 32
    assert trace_id != TRACE


def test_two_requests_of_one_trace_have_their_own_ids(client: TestClient, lines: Lines) -> None:
    for _ in range(2):
        client.get("/", headers=TRACED)
    first, second = lines()
    assert first["trace_id"] == second["trace_id"] == TRACE
    assert first["request_id"] != second["request_id"]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
def test_what_is_asked_every_few_seconds_is_logged_only_if_it_fails(
    client: TestClient, lines: Lines, path: str
) -> None:
    assert client.get(path).status_code == 200
    assert lines() == []
    assert client.post(path).status_code == 405
    assert [line["path"] for line in lines()] == [path]


@pytest.mark.parametrize(
    ("client_host", "logs_senders", "shown"),
    [
        ("192.0.2.7", True, "192.0.2.7"),
        ("192.0.2.7", False, None),
        ("2001:db8::1%eth0", True, "2001:db8::1%eth0"),
        ("alice@example.com token=secret", True, "malformed"),
        ("", True, "malformed"),
    ],
)
def test_the_sender_is_an_address_and_can_be_left_out(
    lines: Lines, client_host: str, *, logs_senders: bool, shown: str | None
) -> None:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None: ...

    scope = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "client": (client_host, 1)
    }  # fmt: skip
    asyncio.run(RequestContext(answer, logs_senders=logs_senders)(scope, receive, send))
    assert [line.get("sender") for line in lines()] == [shown]


@pytest.mark.parametrize("logs_senders", [True, False])
def test_the_setting_says_whether_senders_are_logged(settings: Settings, *, logs_senders: bool) -> None:
    app = create_app(settings.model_copy(update={"log_senders": logs_senders}))
    [context] = [each for each in app.user_middleware if issubclass(cast("type", each.cls), RequestContext)]
    assert context.kwargs["logs_senders"] is logs_senders


def test_an_api_key_that_may_not_is_named(client: TestClient, user: Person, lines: Lines) -> None:
    machine(client, user, "read").send("POST /incidents", {"title": "t", "severity": "low", "service": "s"})
    assert lines()[-1]["status"] == 403
    assert lines()[-1]["user_id"] == user.id
    assert "api_key_id" in lines()[-1]


@pytest.mark.parametrize(
    "path",
    [
        "/p/abcdef-secret",
        "/x//p/abcdef-secret",
        "/P/abcdef-secret/",
        "/./p/abcdef-secret",
        "/x/../p/abcdef-secret",
        "/below/p/abcdef-secret",
        "/x//reset-password/abcdef-secret",
        "/Reset-Password/abcdef-secret",
        "/v1/reset-password/abcdef-secret",
        "/v1/auth/password-recovery/secret@example.com",
        "/v1/auth/Password-Recovery/a/secret@example.com",
        "/v1/users/secret@example.com",
        f"/{'x' * 40}secret",
    ],
)
def test_no_spelling_of_a_path_shows_its_secret(client: TestClient, lines: Lines, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        client.request(method, path)
    assert "secret" not in json.dumps(lines())
    assert len(lines()) == 3


def test_a_link_in_a_page_is_logged_with_its_action(client: TestClient, lines: Lines) -> None:
    client.post("/p/abcdef-secret/acknowledge")
    client.get("/v1/somewhere/else")
    assert [line["path"] for line in lines()] == ["/p/-/acknowledge", "/v1/somewhere/else"]
