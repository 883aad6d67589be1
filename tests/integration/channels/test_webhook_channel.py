"""A webhook, verified as a receiver would."""

import base64
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from app.core.channel import CHANNELS, Channel
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.facts import stored
from app.core.vocabulary import AttemptOutcome, NotificationKind
from app.integrations import connections
from app.integrations.channels.webhook import WebhookSettings
from tests.support.envelopes import KEY, bundle, notice, page
from tests.support.http_server import Answer, HttpServer, http_server

NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"x" * 32).decode()


def own(secrets: str = NEW, *, allows_private: bool = True) -> WebhookSettings:
    return WebhookSettings(
        _env_file=None,
        webhook_signing_secrets=SecretStr(secrets),
        webhook_allow_private_addresses=allows_private,
        webhook_timeout_seconds=10,
    )


def channel_of(settings: Settings, secrets: str = NEW, *, allows_private: bool = True) -> Channel:
    channel = CHANNELS["webhook"].set_up(settings, own(secrets, allows_private=allows_private))
    assert channel is not None
    return channel


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


def test_a_page_arrives_as_signed_json(settings: Settings, server: HttpServer) -> None:
    envelope = page(f"{server.url}/hook")
    assert channel_of(settings).send(envelope).result is AttemptOutcome.ACCEPTED
    [request] = server.requests
    said = Webhook(NEW).verify(request.body, dict(request.headers))
    assert (said["type"], request.headers["content-type"]) == ("page", "application/json")
    assert request.headers["webhook-id"] == str(KEY)
    assert said["data"] == {"subject": envelope.subject, "text": envelope.body, **stored(envelope.pages[0])}


def test_what_it_says_of_a_bundle_is_every_incident(settings: Settings, server: HttpServer) -> None:
    channel_of(settings).send(bundle(server.url, 3))
    said = server.requests[0].json()
    assert said["type"] == "bundle"
    assert [named["incident"]["id"] for named in said["data"]["incidents"]] == [1, 2, 3]


def test_a_message_about_no_incident_is_its_text(settings: Settings, server: HttpServer) -> None:
    channel_of(settings).send(notice(server.url, "It is off."))
    assert server.requests[0].json()["data"] == {"subject": "About your notifications", "text": "It is off."}


def test_while_secrets_change_either_verifies(settings: Settings, server: HttpServer) -> None:
    channel_of(settings, f"{NEW}, {OLD}").send(page(server.url))
    [request] = server.requests
    for secret in (NEW, OLD):
        Webhook(secret).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(request.body, dict(request.headers))
    first = request.headers["webhook-signature"].split(" ")[0]
    Webhook(NEW).verify(request.body, {**request.headers, "webhook-signature": first})


def test_a_body_that_was_changed_does_not_verify(settings: Settings, server: HttpServer) -> None:
    channel_of(settings).send(page(server.url))
    [request] = server.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(request.body + b" ", dict(request.headers))


def test_without_a_secret_it_signs_with_one_that_stays(settings: Settings, server: HttpServer) -> None:
    for _ in range(2):
        channel_of(settings, "").send(replace(page(server.url), kind=NotificationKind.WEBHOOK_ACTION, body="{}"))
    headers = [request.headers for request in server.requests]
    assert all(header["webhook-signature"].startswith("v1,") for header in headers)
    other = settings.model_copy(update={"secret_key": SecretStr("another key of over thirty-two bytes")})
    keys = [channel_of(which, "").keys for which in (settings, settings, other)]  # type: ignore[attr-defined]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_c2hvcnQ=", "whsec_???", NEW.removeprefix("whsec_")])
def test_what_is_no_secret_is_refused_at_the_start(settings: Settings, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        channel_of(settings, f"{NEW},{secret}")
    made = "echo whsec_$(openssl rand -base64 32)"
    said = f"WEBHOOK_SIGNING_SECRETS has one that is not whsec_<base64>: make it with `{made}`"
    assert str(caught.value) == said  # and nothing of the secret


def test_an_action_is_posted_as_it_was_written_and_its_answer_is_kept(settings: Settings, server: HttpServer) -> None:
    body = '{"text": "ü", "n": 1}'
    server.script(Answer(201, "b" * 600), Answer(500, "broken"))
    envelope = replace(page(server.url), kind=NotificationKind.WEBHOOK_ACTION, body=body)
    first, second = [channel_of(settings).send(envelope) for _ in range(2)]
    assert (first.result, first.status_code, first.answer) == (AttemptOutcome.ACCEPTED, 201, "b" * 500)
    assert (second.result, second.answer) == (AttemptOutcome.RETRY, "broken")
    assert {request.body.decode() for request in server.requests} == {body}
    assert Webhook(NEW).verify(body, dict(server.requests[0].headers)) == {"text": "ü", "n": 1}


@pytest.mark.parametrize(("status", "is_gone"), [(410, True), (404, False), (403, False)])
def test_only_410_means_that_the_address_is_gone(
    settings: Settings, server: HttpServer, status: int, is_gone: bool
) -> None:
    server.script(Answer(status))
    outcome = channel_of(settings).send(page(server.url))
    assert (outcome.result, outcome.is_address_gone) == (AttemptOutcome.DEAD, is_gone)


def test_a_private_address_is_not_called_unless_that_is_allowed(settings: Settings, server: HttpServer) -> None:
    outcome = channel_of(settings, allows_private=False).send(page(server.url))
    assert (outcome.result, outcome.status_code, server.requests) == (AttemptOutcome.DEAD, None, [])


def test_what_is_slow_or_down_together_is_the_host(settings: Settings) -> None:
    assert channel_of(settings).provider("https://Hooks.example:8443/a?b") == "hooks.example"


@pytest.mark.parametrize("channel", ["webhook", "slack", "teams"])
@pytest.mark.parametrize(
    ("address", "allows_private", "is_good"),
    [
        ("https://hooks.example/1?sig=2", False, True),
        ("https://8.8.8.8/1", False, True),
        ("https://10.0.0.1/1", False, False),
        ("https://10.0.0.1/1", True, True),
        ("http://localhost:8080/", True, True),
        ("https://localhost/", False, False),
        ("https://[::1]/", False, False),
        ("https://me:secret@hooks.example/", True, False),
        ("ftp://hooks.example/", True, False),
        ("#incidents", True, False),
        ("https://hooks.example/a b", True, False),
    ],
)
def test_an_address_is_a_url_that_may_be_called(
    channel: str, address: str, allows_private: bool, is_good: bool
) -> None:
    kind = CHANNELS[channel]
    if is_good:
        assert kind.clean_address(address, own(allows_private=allows_private)) == address
    else:
        with pytest.raises(ValueError, match="URL"):
            kind.clean_address(address, own(allows_private=allows_private))


@pytest.mark.parametrize(("channel", "is_good"), [("webhook", True), ("slack", False), ("teams", False)])
def test_a_url_whose_path_is_a_secret_needs_tls(channel: str, is_good: bool) -> None:
    kind, settings = CHANNELS[channel], own(allows_private=False)
    if is_good:
        kind.clean_address("http://hooks.example/", settings)
    else:
        with pytest.raises(ValueError, match="https://"):
            kind.clean_address("http://hooks.example/", settings)
