"""Bodies that are not clean JSON: what can be read is applied, and the rest opens one incident that shows it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.api import JSON, Api
from tests.support.logs import captured
from tests.support.world import Person

HOOK = "POST /alerts/elastic"
MEBIBYTE = 1024 * 1024
LIMIT = 8 * MEBIBYTE
TITLE = "Unreadable alert from elastic"
SECRET = "a secret of some length"

UNREADABLE = [
    b"",
    b"{",
    b"alert!",
    b"\xff\xfe",
    b'{"id": "a"',
    b'{"a":' * 200_000,
    b"[]",
    b"null",
    b'"text"',
    b"5",
    b'["disk full"]',
    b'{"rule_name": "Logs", "message":"C:\\Program Files"}',
    b'{"rule_name": "CPU", "value": , "alert_id": "a"}',
    b'{"id": ' + b"9" * 5_000 + b"}",
    b"[" + b"[]," * MEBIBYTE,
    b"\xf3(\x00",
]


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


@pytest.mark.parametrize("content", UNREADABLE)
@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_a_body_that_cannot_be_read_opens_an_incident_that_shows_it(api: Api, content: bytes, media_type: str) -> None:
    answer = api.call(HOOK, content=content, headers={"Content-Type": media_type}, wants=201)
    assert answer["status"] == "incident_created"
    assert answer["message"].startswith("The alert could not be read: ")
    incident = api.incident(answer["incident_id"])
    shown = {name: incident[name] for name in ("title", "severity", "service", "status", "source")}
    assert shown == {"title": TITLE, "severity": "high", "service": "unknown", "status": "open", "source": "elastic"}
    assert len(incident["description"]) <= 10_000
    if content.isascii():
        assert content[:1000].decode().strip() in incident["description"]


def test_unreadable_alerts_share_one_incident_until_it_is_resolved(api: Api) -> None:
    ids = [api.call(HOOK, content=content, headers=JSON, wants=201)["incident_id"] for content in UNREADABLE[:4]]
    assert len(set(ids)) == 1
    assert api.incident(ids[0])["alert_count"] == 4
    api.call(f"POST /incidents/{ids[0]}/resolve")
    again = api.call(HOOK, content=b"{", headers=JSON, wants=201)
    assert again["status"] == "incident_created"


def test_an_unreadable_alert_is_logged_with_its_reason(api: Api) -> None:
    with captured() as log:
        api.call(HOOK, content=b'{"value": , "secret": "hidden"}', headers=JSON, wants=201)
    [line] = [line for line in log.getvalue().splitlines() if "alert_unreadable" in line]
    assert "Expecting value in line 1, column 11" in line
    assert "hidden" not in line


@pytest.mark.parametrize(
    "content",
    [
        b'{"id": "a"}{"id": "b"}',
        b'{"id": "a"}\n\n{"id": "b"}\n',
        b'{"id": "a"}, {"id": "b"},',
        b'[{"id": "a"}, {"id": "b"}]',
        b'[{"id": "a"}][{"id": "b"}]',
        b'\xef\xbb\xbf{"id": "a"} [{"id": "b"}]\x00',
        b'{"id": "a", "message": "two\nlines\tand a tab"}{"id": "b"}',
        b'{"id": "a", "message": "Gr\xf6\xdfe"}{"id": "b"}',
        '{"id": "a"}{"id": "b"}'.encode("utf-16"),
    ],
)
def test_what_can_be_read_is_read(api: Api, content: bytes) -> None:
    results = api.call(HOOK, content=content, headers=JSON, wants=201)["results"]
    assert [api.incident(result["incident_id"])["alert_id"] for result in results] == ["a", "b"]


def test_a_raw_newline_in_a_text_is_part_of_it(api: Api) -> None:
    answer = api.call(HOOK, content=b'{"id": "a", "message": "two\nlines"}', headers=JSON, wants=201)
    assert api.incident(answer["incident_id"])["description"] == "two\nlines"


def test_keys_that_differ_in_bytes_that_are_no_text_stay_apart(api: Api) -> None:
    bodies = [b'{"id": "Gr\xf6\xdfe"}', b'{"id": "Gr\xfc\xdfe"}', b'{"id": "Gr\xf6\xdfe"}']
    first, second, third = (api.call(HOOK, content=body, headers=JSON, wants=201)["incident_id"] for body in bodies)
    assert first == third != second


@pytest.mark.parametrize("content", [b'{"id": "a"}{"id": "b", "value": ,}', b'[{"id": "a"}, "disk full"]'])
def test_what_comes_before_an_unreadable_part_is_applied(api: Api, content: bytes) -> None:
    answer = api.call(HOOK, content=content, headers=JSON, wants=201)
    applied, unreadable = answer["results"]
    assert answer["incident_id"] == applied["incident_id"]
    assert "could not be read" in answer["message"]
    assert api.incident(applied["incident_id"])["alert_id"] == "a"
    assert api.incident(unreadable["incident_id"])["title"] == TITLE


def test_a_body_of_the_limit_is_read(api: Api) -> None:
    api.call(HOOK, content=b'{"id": "a"}'.ljust(LIMIT), headers=JSON, wants=201)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_body_over_the_limit_is_refused_and_opens_an_incident(api: Api, is_told: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"rule_name": "Large", "message": "'
        for _ in range(LIMIT // MEBIBYTE):
            yield b"x" * MEBIBYTE

    content = b"".join(pieces()) if is_told else pieces()
    refusal = problem(api.send(HOOK, content=content, headers=JSON), 413)
    assert refusal["code"] == "body_too_large"
    [incident] = api.call("GET /incidents")
    assert incident["title"] == TITLE
    assert '{"rule_name": "Large"' in incident["description"]


class TestWithASecret:
    @pytest.fixture
    def guarded(self, client: TestClient, application: FastAPI, services: Services) -> TestClient:
        update = {"elastic_webhook_token": SecretStr(SECRET), "webhook_max_body_mib": 1}
        settings = services.settings.model_copy(update=update)
        application.state.services = build_services(settings, services.database)
        return client

    @pytest.mark.parametrize("content", [b"{", b"x" * (MEBIBYTE + 1)])
    def test_nothing_is_read_without_it(self, guarded: TestClient, user: Person, content: bytes) -> None:
        def unread() -> Iterator[bytes]:
            yield content

        problem(Api(guarded).send(HOOK, content=unread(), headers=JSON), 401)
        problem(Api(guarded).send(HOOK, content=content, headers=JSON), 401)
        assert Api(guarded, user.headers).call("GET /incidents") == []

    def test_the_limit_is_the_operators(self, guarded: TestClient) -> None:
        headers = {**JSON, "X-Webhook-Token": SECRET}
        Api(guarded).call(HOOK, content=b"{}".ljust(MEBIBYTE), headers=headers, wants=201)
        problem(Api(guarded).send(HOOK, content=b"{}".ljust(MEBIBYTE + 1), headers=headers), 413)
