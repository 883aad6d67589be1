"""Web Push to a push service on a socket: what arrives there only the browser can read."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import example
from hypothesis import given as given_any
from hypothesis import strategies as st
from jose import jwt
from py_vapid import Vapid02
from pydantic import SecretStr

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.push.channel import PushSettings, PushType
from app.integrations.channels.push.vapid import new_private_key
from app.integrations.channels.push.web import topic_of
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.bundled import accounted, body_of, facts_of, numbers
from tests.support.envelopes import KEY, LINK, page_facts
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.world import Person

ENVELOPE = Envelope("", "[HIGH] db: Überlast (#7)", "Bitte ansehen.\n", KEY, 7, facts=replace(page_facts(), link=LINK))
CONTACT = "mailto:operator@example.com"
AUTH = b"0123456789abcdef"
KEY_PATH = "/v1/notification-preferences/web-push-key"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Browser:
    """A browser that has subscribed at a push service."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey

    def subscription(self, **fields: Any) -> dict[str, Any]:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"endpoint": self.endpoint, "keys": {"p256dh": encoded(point), "auth": encoded(AUTH)}, **fields}

    def read(self, body: bytes) -> Any:
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=AUTH, version="aes128gcm"))


@pytest.fixture
def service() -> Iterator[HttpServer]:
    with http_server() as server:
        server.default = Answer(201, headers={"Location": f"{server.url}/message/1"})
        yield server


@pytest.fixture
def browser(service: HttpServer) -> Browser:
    return Browser(f"{service.url}/push/abc", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def private_key() -> str:
    return new_private_key()


def own(private_key: str | None, contact: str | None = CONTACT, **fields: Any) -> PushSettings:
    key = SecretStr(private_key) if private_key is not None else None
    return PushSettings(_env_file=None, web_push_private_key=key, web_push_contact=contact, **fields)


@pytest.fixture
def channel(settings: Settings, private_key: str) -> Channel:
    allowed = own(private_key, push_allow_private_addresses=True, push_timeout_seconds=30)
    found = PushType().set_up(settings, allowed)
    assert found is not None
    return found


@pytest.fixture
def page(browser: Browser) -> Envelope:
    return replace(ENVELOPE, address=json.dumps(browser.subscription()))


def test_only_the_browser_can_read_what_the_push_service_is_handed(
    channel: Channel, service: HttpServer, browser: Browser, page: Envelope
) -> None:
    outcome = channel.send(page)
    assert (outcome.result, outcome.provider_id) == (AttemptOutcome.ACCEPTED, f"{service.url}/message/1")
    [asked] = service.requests
    assert (asked.method, asked.path) == ("POST", "/push/abc")
    assert b"berlast" not in asked.body
    said = {"title": ENVELOPE.subject, "body": "Bitte ansehen.", "url": LINK, "incident_id": 7}
    assert browser.read(asked.body) == said


def test_the_push_service_is_told_how_urgent_it_is_and_what_it_replaces(
    channel: Channel, service: HttpServer, page: Envelope
) -> None:
    channel.send(page)
    channel.send(replace(page, incident_id=None))
    first, second = (asked.headers for asked in service.requests)
    assert first["content-encoding"] == "aes128gcm"
    assert (first["ttl"], first["urgency"], first["topic"]) == ("14400", "high", f"inc-{7:020d}")
    assert "topic" not in second


def test_a_message_whose_extras_are_refused_goes_without_them_at_once(
    channel: Channel, service: HttpServer, browser: Browser, page: Envelope
) -> None:
    service.script(Answer(400, '{"reason": "BadWebPushTopic"}'))
    assert channel.send(page).result is AttemptOutcome.ACCEPTED
    first, second = service.requests
    assert first.headers.keys() - second.headers.keys() == {"topic", "urgency"}
    assert browser.read(second.body) == browser.read(first.body)


@given_any(st.integers(1, 2**63 - 1))
@example(1000)
def test_the_topic_of_any_incident_decodes(incident_id: int) -> None:
    topic = topic_of(incident_id)
    assert len(topic) <= 32
    assert len(topic) % 4 != 1
    assert len(base64.b64decode(topic + "=" * (-len(topic) % 4), altchars=b"-_", validate=True)) > 0
    assert topic.endswith(str(incident_id))


def test_the_push_service_learns_who_sends_this(
    channel: Channel, service: HttpServer, page: Envelope, private_key: str
) -> None:
    channel.send(page)
    authorization = service.requests[0].headers["authorization"]
    assert Vapid02.verify(authorization)
    scheme, _, given = authorization.partition(" ")
    parts = dict(part.split("=", 1) for part in given.split(","))
    claims = jwt.get_unverified_claims(parts["t"])
    assert (scheme, claims["aud"], claims["sub"]) == ("vapid", service.url, CONTACT)
    point = Vapid02.from_string(private_key).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert parts["k"] == encoded(point)


@pytest.mark.parametrize("body", ["😀" * 5000, '"' * 5000, "\x07" * 5000, "x" * 5000])
def test_a_message_that_is_too_long_for_push_loses_its_end(
    channel: Channel, service: HttpServer, browser: Browser, page: Envelope, body: str
) -> None:
    channel.send(replace(page, subject="ü" * 200, body=body))
    [asked] = service.requests
    said = browser.read(asked.body)
    assert (len(asked.body) <= 4096, said["title"], said["url"]) == (True, "ü" * 200, LINK)
    assert len(said["body"]) >= 500
    assert set(said["body"].removesuffix("…")) == {body[0]}


@pytest.mark.parametrize("subject", ["500 incidents", "漢" * 200, "😀" * 200])
@pytest.mark.parametrize("count", [200, 1000, 5000])
def test_a_bundle_too_long_for_web_push_counts_what_it_does_not_name(
    channel: Channel, service: HttpServer, browser: Browser, page: Envelope, count: int, subject: str
) -> None:
    ids = numbers(count)
    channel.send(replace(page, subject=subject, body=body_of(ids), facts=facts_of(ids)))
    encrypted = service.requests[0].body
    assert accounted(body := browser.read(encrypted)["body"], ids) == count
    assert (1900 < len(body) <= 2000, len(encrypted) <= 4096) == (True, True)


@pytest.mark.parametrize("too_many", [0, 1])
def test_a_text_that_just_fits_web_push_is_sent_whole(
    channel: Channel, service: HttpServer, browser: Browser, page: Envelope, too_many: int
) -> None:
    said = {"title": page.subject, "url": LINK, "incident_id": 7, "body": ""}
    room = 3900 - len(json.dumps(said, ensure_ascii=False).encode()) + too_many
    channel.send(replace(page, body=(body := "漢" * (room // 3) + "x" * (room % 3))))
    assert (browser.read(service.requests[0].body)["body"] == body) is (not too_many)


@pytest.mark.parametrize(
    ("answer", "result", "is_gone"),
    [
        (Answer(404), AttemptOutcome.DEAD, True),
        (Answer(410), AttemptOutcome.DEAD, True),
        (Answer(413), AttemptOutcome.DEAD, False),
        (Answer(403), AttemptOutcome.DEAD, False),
        (Answer(429, headers={"Retry-After": "13"}), AttemptOutcome.RETRY, False),
        (Answer(500), AttemptOutcome.RETRY, False),
        (Answer(fault="reset"), AttemptOutcome.RETRY, False),
    ],
)
def test_the_status_says_whether_the_subscription_is_gone(
    channel: Channel, service: HttpServer, page: Envelope, answer: Answer, result: AttemptOutcome, is_gone: bool
) -> None:
    service.script(answer)
    outcome = channel.send(page)
    assert (outcome.result, outcome.is_address_gone) == (result, is_gone)
    assert outcome.retry_after_seconds == (13 if answer.status == 429 else None)


def test_a_push_service_in_the_private_network_is_not_asked(
    settings: Settings, service: HttpServer, page: Envelope, private_key: str
) -> None:
    guarded = PushType().set_up(settings, own(private_key))
    assert guarded is not None
    assert (guarded.send(page).result, service.requests) == (AttemptOutcome.DEAD, [])


@pytest.mark.parametrize("address", ["{", "{}", '{"endpoint":"https://push.example.com"}', '{"endpoint":1,"keys":2}'])
def test_a_subscription_that_is_none_is_final(channel: Channel, address: str) -> None:
    assert channel.send(replace(ENVELOPE, address=address)).result is AttemptOutcome.DEAD


def test_without_its_key_a_subscription_is_of_no_use(settings: Settings, page: Envelope) -> None:
    only_ntfy = PushType().set_up(settings, PushSettings(_env_file=None, ntfy_url="https://ntfy.sh"))
    assert only_ntfy is not None
    assert only_ntfy.send(page).result is AttemptOutcome.DEAD


Change = Callable[[dict[str, Any]], object]


def clean(address: Any, settings: PushSettings) -> str:
    return CHANNELS["push"].clean_address(address if isinstance(address, str) else json.dumps(address), settings)


@pytest.fixture
def subscription() -> dict[str, Any]:
    """As a browser gives it."""
    browser = Browser("https://push.example.com/abc", ec.generate_private_key(ec.SECP256R1()))
    return browser.subscription(expirationTime=None)


def test_a_subscription_is_stored_in_one_form(subscription: dict[str, Any], private_key: str) -> None:
    stored = clean(subscription, own(private_key))
    del subscription["expirationTime"]
    assert json.loads(stored) == subscription
    padded = {name: f"{value}=" for name, value in subscription["keys"].items()}
    assert clean({"keys": padded, "endpoint": subscription["endpoint"]}, own(private_key)) == stored
    assert clean(stored, own(private_key)) == stored


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("endpoint"),
        lambda s: s.pop("keys"),
        lambda s: s["keys"].pop("auth"),
        lambda s: s["keys"].update(auth="short"),
        lambda s: s["keys"].update(auth=7),
        lambda s: s["keys"].update(p256dh="AAAA"),
        lambda s: s["keys"].update(p256dh=encoded(b"\x04" + b"\x01" * 64)),
        lambda s: s["keys"].update(p256dh="ü"),
        lambda s: s.update(endpoint=7),
        lambda s: s.update(endpoint="push"),
        lambda s: s.update(endpoint="http://push.example.com/abc"),
        lambda s: s.update(endpoint="https://127.0.0.1/abc"),
        lambda s: s.update(endpoint="https://[::ffff:10.0.0.1]/abc"),
        lambda s: s.update(endpoint="https://push.example.com/\ud800"),
        lambda s: s.update(keys=["p256dh"]),
    ],
)
def test_what_is_no_subscription_is_refused(subscription: dict[str, Any], private_key: str, spoil: Change) -> None:
    spoil(subscription)
    with pytest.raises(ValueError, match=r"\.$"):
        clean(subscription, own(private_key))


@pytest.mark.parametrize("text", ["{", "{}", '{"a":' * 5000, "{'endpoint': 1}"])
def test_what_is_no_json_is_refused(text: str, private_key: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        clean(text, own(private_key))


@pytest.mark.parametrize(
    ("key", "contact", "told"),
    [
        ("good", None, "WEB_PUSH_CONTACT is missing"),
        ("good", "operator@example.com", "WEB_PUSH_CONTACT must be an address"),
        ("good", "mailto:operator@localhost", "WEB_PUSH_CONTACT must be an address"),
        ("good", "mailto:operator", "WEB_PUSH_CONTACT must be an address"),
        ("good", "mailto:", "WEB_PUSH_CONTACT must be an address"),
        ("good", "mailto: operator@example.com", "WEB_PUSH_CONTACT must be an address"),
        ("good", "mailto:Operator <operator@example.com>", "WEB_PUSH_CONTACT must be an address"),
        ("good", "http://pager.example.com", "WEB_PUSH_CONTACT must be an address"),
        ("good", "https://localhost", "WEB_PUSH_CONTACT must be an address"),
        ("good", "https://127.0.0.1:8000", "WEB_PUSH_CONTACT must be an address"),
        ("short", CONTACT, "WEB_PUSH_PRIVATE_KEY is not a key"),
        ("ü" * 43, CONTACT, "WEB_PUSH_PRIVATE_KEY is not a key"),
        (encoded(bytes(32)), CONTACT, "WEB_PUSH_PRIVATE_KEY is not a key"),
    ],
)
def test_a_setting_that_cannot_work_is_named(
    settings: Settings, private_key: str, key: str, contact: str | None, told: str
) -> None:
    given = private_key if key == "good" else key
    with pytest.raises(ConfigurationError, match=told) as caught:
        PushType().set_up(settings, own(given, contact))
    assert given not in str(caught.value)


def test_the_command_makes_a_key_that_works(tmp_path: Path, settings: Settings) -> None:
    command = [sys.executable, "-m", "app", "vapid-key"]
    made = [subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout for _ in range(2)]
    assert made[0] != made[1]
    name, _, key = made[0].strip().partition("=")
    assert name == "WEB_PUSH_PRIVATE_KEY"
    assert PushType().set_up(settings, own(key)) is not None


def test_a_browser_learns_the_key_that_it_subscribes_with(
    client: TestClient, user: Person, application: FastAPI, services: Services, private_key: str
) -> None:
    problem(client.get(KEY_PATH), 401)
    problem(client.get(KEY_PATH, headers=user.headers), 404)
    changed = {**services.paging.channel_settings, "push": own(private_key)}
    application.state.services = replace(services, paging=replace(services.paging, channel_settings=changed))
    answer = client.get(KEY_PATH, headers=user.headers)
    point = Vapid02.from_string(private_key).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert (answer.status_code, answer.json()) == (200, {"public_key": encoded(point)})
