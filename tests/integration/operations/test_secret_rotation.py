"""A secret is replaced while what it has signed lives: nobody is logged out, and no link and no code dies."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.core.channel import CHANNELS
from app.core.config import Settings
from app.core.errors import UnknownLink
from app.core.page_links import PageLink, PageLinks
from app.integrations.channels.webhook import WebhookSettings, signature
from app.main import create_app
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.envelopes import KEY
from tests.support.scenario import Tick
from tests.support.world import PASSWORD, Outbox, Person

OLD, NEW = "8f0c2f3d5e6a47b9918273645546372819abcdef", "fedcba91827364554637281999b74a6e5d3f2c0f8"
AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
LINK = PageLink(7, 3)


def with_keys(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"secret_key": SecretStr(",".join(keys))})


def links(settings: Settings, *keys: str) -> PageLinks:
    return PageLinks(with_keys(settings, *keys))


def token_of(links: PageLinks) -> str:
    return links.url(LINK, at=AT).rpartition("/")[2]


@contextmanager
def process(services: Services, **changes: str) -> Iterator[TestClient]:
    """A process of the service with these secrets."""
    secrets = {name: SecretStr(value) for name, value in changes.items()}
    settings = services.settings.model_copy(update=secrets)
    parts = build_services(settings, services.database, channels=services.channels)
    with TestClient(create_app(settings, parts)) as client:
        yield client


def test_a_link_works_until_its_key_is_gone(settings: Settings) -> None:
    token = token_of(links(settings, OLD))
    assert links(settings, NEW, OLD).read(token, at=AT) == LINK
    with pytest.raises(UnknownLink):
        links(settings, NEW).read(token, at=AT)


def test_a_new_link_is_signed_by_the_first_key(settings: Settings) -> None:
    assert token_of(links(settings, NEW, OLD)) == token_of(links(settings, NEW))


def test_a_webhook_without_secrets_of_its_own_is_signed_by_each_key(settings: Settings) -> None:
    def signatures(*keys: str) -> list[str]:
        channel: Any = CHANNELS["webhook"].set_up(with_keys(settings, *keys), WebhookSettings(_env_file=None))
        return signature(channel.keys, KEY, "{}")["webhook-signature"].split(" ")

    assert len(signatures(NEW, OLD)) == 2
    channels = [CHANNELS["webhook"].set_up(with_keys(settings, *keys), WebhookSettings()) for keys in ([OLD], [NEW])]
    both: Any = CHANNELS["webhook"].set_up(with_keys(settings, NEW, OLD), WebhookSettings())
    assert both.keys == tuple(channel.keys[0] for channel in reversed(channels))  # type: ignore[union-attr]


def test_a_session_and_its_tokens_outlive_the_rotation(services: Services, user: Person) -> None:
    with process(services, secret_key=OLD) as before:
        login = {"username": user.email, "password": PASSWORD}
        pair = Api(before).call("POST /auth/login/access-token", login)
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    with process(services, secret_key=f"{NEW}, {OLD}") as after:
        assert Api(after, headers).call("GET /users/me")["id"] == user.id
        pair = Api(after).call("POST /auth/login/refresh-token", {"refresh_token": pair["refresh_token"]})
    with process(services, secret_key=NEW) as later:
        problem(Api(later, headers).send("GET /users/me"), 401)
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        assert Api(later, headers).call("GET /users/me")["id"] == user.id


def test_a_code_that_was_sent_before_the_rotation_counts(
    services: Services, user: Person, tick: Tick, outbox: Outbox
) -> None:
    with process(services, secret_key=OLD) as before:
        claim = {"email": "moved@example.com", "current_password": PASSWORD}
        as_before = Api(before, logged_in(before, user))
        assert as_before.call("PUT /users/me", claim)["pending_email"] == "moved@example.com"
    tick()
    with process(services, secret_key=f"{NEW},{OLD}") as after:
        [sent] = [envelope for envelope in outbox.sent if envelope.address == "moved@example.com"]
        code = {"code": re.findall(r"\b[0-9]{6}\b", sent.body)[0]}
        changed = Api(after, logged_in(after, user)).call("POST /users/me/email/confirm", code)
    assert changed["email"] == "moved@example.com"


def logged_in(client: TestClient, user: Person) -> dict[str, str]:
    pair = Api(client).call("POST /auth/login/access-token", {"username": user.email, "password": PASSWORD})
    return {"Authorization": f"Bearer {pair['access_token']}"}


def test_a_request_repeated_after_the_rotation_is_not_done_again(services: Services, user: Person) -> None:
    body, key = {"title": "Disk full", "severity": "low", "service": "db"}, {"Idempotency-Key": "one"}
    ids = []
    for keys in (OLD, f"{NEW},{OLD}"):
        with process(services, secret_key=keys) as client:
            api = Api(client, logged_in(client, user))
            ids.append(api.call("POST /incidents", body, wants=201, headers=key)["id"])
    assert ids[0] == ids[1]


@pytest.mark.parametrize("token", ["the token until today", "the token from today on"])
def test_a_webhook_takes_each_of_its_tokens(services: Services, token: str) -> None:
    tokens = "the token from today on, the token until today"
    with process(services, elastic_webhook_token=tokens) as client:
        for _ in range(2):  # the second one is gathered
            Api(client).call("POST /alerts/elastic", {"id": "a"}, headers={"X-Webhook-Token": token}, wants=201)
        for wrong in (tokens, "", ",", "the token"):
            problem(Api(client).send("POST /alerts/elastic", {"id": "a"}, headers={"X-Webhook-Token": wrong}), 401)


def test_a_token_that_worked_before_both_rotations_still_pages_the_admins(
    services: Services, admin: Person, tick: Tick, outbox: Outbox
) -> None:
    """It was sealed by the former key."""
    sent = {"X-Webhook-Token": "the token until today"}
    with process(services, secret_key=OLD, elastic_webhook_token="the token until today") as client:
        Api(client).call("POST /alerts/elastic", {"id": "a"}, headers=sent, wants=201)
    with process(services, secret_key=f"{NEW},{OLD}", elastic_webhook_token="the token from today on") as client:
        problem(Api(client).send("POST /alerts/elastic", {"id": "a"}, headers=sent), 401)
    tick()
    assert any("Alerts from elastic are refused" in envelope.subject for envelope in outbox.sent)
