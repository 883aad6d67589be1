"""Who may post alerts: whoever knows the secret, in any of the ways a connector can send it."""

import base64

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.world import Person

SECRET = "s3cret:with/colon="
HOOK = "POST /alerts/elastic"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


RIGHT = [
    {"Authorization": f"Bearer {SECRET}"},
    {"Authorization": f"bearer {SECRET}"},
    {"X-Webhook-Token": SECRET},
    basic("elastic", SECRET),
    basic("", SECRET),
    {"Authorization": "Bearer of another gate", "X-Webhook-Token": SECRET},
    {"Authorization": "ApiKey x", "X-Webhook-Token": SECRET},
]
WRONG = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": SECRET},
    {"Authorization": f"ApiKey {SECRET}"},
    {"Authorization": f"Bearer {SECRET}x"},
    {"Authorization": f"Bearer {SECRET.upper()}"},
    {"X-Webhook-Token": ""},
    {"X-Webhook-Token": "wrong"},
    basic(SECRET, ""),
    basic("elastic", "wrong"),
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic " + base64.b64encode(b"elastic:\xff\xfe").decode()},
    {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()},
]


@pytest.fixture
def guarded(client: TestClient, application: FastAPI, services: Services) -> TestClient:
    """The API with a secret for the webhook."""
    settings = services.settings.model_copy(update={"elastic_webhook_token": SecretStr(SECRET)})
    application.state.services = build_services(settings, services.database, channels=services.channels)
    return client


@pytest.mark.parametrize("headers", RIGHT)
def test_whoever_sends_the_secret_is_heard(guarded: TestClient, headers: dict[str, str]) -> None:
    Api(guarded).call(HOOK, {"id": "a"}, headers=headers, wants=201)


@pytest.mark.parametrize("headers", WRONG)
def test_whoever_does_not_is_refused_and_changes_nothing(
    guarded: TestClient, user: Person, headers: dict[str, str]
) -> None:
    refusal = problem(Api(guarded).send(HOOK, {"id": "a"}, headers=headers), 401)
    assert refusal["code"] == "not_authenticated"
    assert Api(guarded, user.headers).call("GET /incidents") == []


def test_bytes_that_are_no_text_are_a_wrong_secret(guarded: TestClient) -> None:
    answer = guarded.post("/v1/alerts/elastic", json={}, headers=[(b"X-Webhook-Token", b"\xff\x80")])
    problem(answer, 401)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_who_is_refused_learns_nothing_of_the_body(guarded: TestClient, content: bytes) -> None:
    answer = Api(guarded).send(HOOK, content=content, headers={"Content-Type": "application/json"})
    problem(answer, 401)


def test_a_users_access_token_is_not_the_secret(guarded: TestClient, user: Person) -> None:
    problem(Api(guarded, user.headers).send(HOOK, {"id": "a"}), 401)


def test_without_a_secret_the_webhook_is_open_in_development(client: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer anything"}):
        Api(client).call(HOOK, {"id": "a"}, headers=headers, wants=201)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_is_refused_in_words(client: TestClient, method: str) -> None:
    problem(Api(client).send(f"{method} /alerts/elastic"), 405)
