"""A sender of alerts is a class that is registered: its webhook, its secret and its documentation follow from that."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.core.config import Settings
from app.core.registry import Registry
from app.core.source import SOURCES, AlertSignal, SourceSettings, SourceType
from app.core.vocabulary import Environment
from app.main import create_app
from app.services.accounts.guess import LIMITS
from app.utils.service_locator import Services, build_services, build_sources
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.world import Person

HOOK = "POST /alerts/toy"
TOKEN = "what only the toy knows"


class ToySettings(SourceSettings):
    toy_webhook_token: SecretStr | None = None


class Toy:
    """Sends `{"ring": "kitchen"}`, and `{"hush": "kitchen"}` when it is over."""

    name = "toy"
    settings_type = ToySettings
    drops_429 = True
    description = "Receive alerts from the toy. It rings."
    example = {"ring": "kitchen"}

    def token(self, settings: Settings, own: SourceSettings) -> SecretStr | None:
        assert isinstance(own, ToySettings)
        return own.toy_webhook_token

    def parse(self, body: dict[str, Any]) -> list[AlertSignal]:
        return [
            AlertSignal("toy", room, word == "ring", f"It rings in the {room}", None, None, room, body)
            for word, room in body.items()
        ]


@pytest.fixture
def known() -> Registry[SourceType]:
    sources: Registry[SourceType] = Registry("sources")
    sources.add(SOURCES["elastic"])
    sources.register(Toy)
    return sources


@pytest.fixture
def services(services: Services, known: Registry[SourceType]) -> Services:
    sources = build_sources(services.settings, known)
    return build_services(services.settings, services.database, channels=services.channels, sources=sources)


@pytest.fixture
def client(services: Services, known: Registry[SourceType]) -> Iterator[TestClient]:
    with TestClient(create_app(services.settings, services, known)) as client:
        yield client


class TestWithASecret:
    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("TOY_WEBHOOK_TOKEN", TOKEN)
        return settings

    def test_the_secret_is_the_sources_own(self, client: TestClient) -> None:
        problem(Api(client).send(HOOK, {"ring": "hall"}), 401)
        Api(client, {"X-Webhook-Token": TOKEN}).call(HOOK, {"ring": "hall"}, wants=201)
        Api(client).call("POST /alerts/elastic", {"id": "a"}, wants=201)


class TestWithLimits:
    @pytest.fixture
    def settings(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        monkeypatch.setenv("TOY_WEBHOOK_TOKEN", TOKEN)
        changed = {"rate_limit_enabled": True, "elastic_webhook_token": SecretStr("what only elastic knows")}
        return settings.model_copy(update=changed)

    @pytest.mark.parametrize(
        ("name", "status", "code"), [("toy", 503, "overloaded"), ("elastic", 429, "too_many_requests")]
    )
    def test_a_source_that_drops_429_is_answered_503(
        self, client: TestClient, name: str, status: int, code: str
    ) -> None:
        for _ in range(LIMITS["webhook_token"].sender.free):
            problem(Api(client).send(f"POST /alerts/{name}", {"ring": "hall"}), 401)
        answer = Api(client).send(f"POST /alerts/{name}", {"ring": "hall"})
        assert problem(answer, status)["code"] == code
        assert int(answer.headers["Retry-After"]) >= 1
        Api(client, {"X-Webhook-Token": TOKEN}).call(HOOK, {"ring": "hall"}, wants=201)


class TestInProduction:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"environment": Environment.PRODUCTION})

    def test_a_source_without_a_secret_accepts_nothing(self, client: TestClient, admin: Person) -> None:
        for headers in ({}, {"X-Webhook-Token": ""}, {"Authorization": "Bearer None"}):
            refusal = problem(Api(client).send(HOOK, {"ring": "hall"}, headers=headers), 401)
            assert "not set a token" in refusal["detail"]
        assert Api(client, admin.headers).call("GET /incidents") == []


def test_a_registered_source_opens_and_resolves_incidents(client: TestClient, admin: Person) -> None:
    opened = Api(client).call(HOOK, {"ring": "kitchen"}, wants=201)
    incident = Api(client, admin.headers).incident(opened["incident_id"])
    assert (incident["source"], incident["alert_id"], incident["status"]) == ("toy", "kitchen", "open")
    assert Api(client).call(HOOK, {"ring": "kitchen"}, wants=201)["status"] == "incident_updated"
    assert Api(client).call(HOOK, {"hush": "kitchen"}, wants=201)["status"] == "incident_resolved"


def test_two_sources_may_use_the_same_key(client: TestClient) -> None:
    first = Api(client).call(HOOK, {"ring": "kitchen"}, wants=201)
    second = Api(client).alert(id="kitchen")
    assert second["status"] == "incident_created"
    assert second["incident_id"] != first["incident_id"]


def test_a_registered_source_is_documented(client: TestClient) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    operation = paths["/v1/alerts/toy"]["post"]
    assert (operation["operationId"], operation["summary"]) == ("receive_toy_alert", "Receive alerts from the toy")
    assert operation["requestBody"]["content"]["application/json"]["example"] == {"ring": "kitchen"}
    assert operation["security"] == paths["/v1/alerts/elastic"]["post"]["security"]


def test_two_sources_of_one_name_are_refused(known: Registry[SourceType]) -> None:
    with pytest.raises(ValueError, match="there are two sources named toy"):
        known.register(Toy)


def test_this_version_knows_elastic() -> None:
    assert SOURCES.names() == ["elastic"]
