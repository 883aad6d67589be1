"""What a server answered when it refused a page: for administrators alone, wherever it could be read."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.core.channel import without_answer
from app.core.config import Settings
from app.db.session import Database
from app.integrations.channels.hook import HookSettings
from app.integrations.channels.webhook import WebhookChannel
from app.utils.service_locator import Services, build_services
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.scenario import Opener, Tick, notify
from tests.support.world import Outbox, Person

HUSH = "the secret of the machine beside us"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        server.default = Answer(403, HUSH)
        yield server


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE_ADDRESSES", "true")  # where the server of the test is
    own = HookSettings(_env_file=None)
    return build_services(settings, database, channels={"email": outbox, "webhook": WebhookChannel((b"key",), own)})


@pytest.fixture
def incident(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer
) -> int:
    """An incident whose page went to a URL that answered with what only we can reach."""
    path = "/v1/notification-preferences/me/webhook"
    assert client.put(path, json={"address": server.url}, headers=user.headers).status_code == 200
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=user.id, channels=["webhook"])]}])
    id_: int = open_incident()["id"]
    tick()
    tick()
    return id_


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/notifications", "/v1/incidents/{id}", "/v1/incidents/{id}/timeline", "/v1/incidents/{id}/why"),
        *("/v1/incidents/{id}/notifications", "/v1/escalation/incidents/{id}/escalation-events"),
    ],
)
def test_a_user_reads_only_that_it_was_refused(client: TestClient, incident: int, user: Person, path: str) -> None:
    answer = client.get(path.format(id=incident), headers=user.headers)
    assert answer.status_code == 200, answer.text
    assert HUSH not in answer.text


def test_an_administrator_reads_what_the_server_said(client: TestClient, incident: int, admin: Person) -> None:
    answer = client.get("/v1/notifications", headers=admin.headers)
    errors = [row["last_error"] for row in answer.json() if row["channel"] == "webhook"]
    assert errors == [f"The server answered 403: {HUSH}"], json.dumps(answer.json())


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (None, None),
        ("The server answered 500", "The server answered 500"),
        ("The server answered 500: a\nb: c", "The server answered 500."),
        ("No answer within 10 s.", "No answer within 10 s."),
    ],
)
def test_what_everybody_may_read_of_an_error(error: str | None, shown: str | None) -> None:
    assert without_answer(error) == shown
