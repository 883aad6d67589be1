"""Push by ntfy, which a server on a socket stands for, and the choice between it and Web Push."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.facts import BundleFacts, Facts, PageFacts
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.push.channel import PushSettings, PushType
from app.integrations.channels.push.vapid import new_private_key
from tests.support.bundled import accounted, body_of, facts_of, numbers
from tests.support.envelopes import KEY, LINK, page_facts
from tests.support.http_server import Answer, HttpServer, http_server

ENVELOPE = Envelope("on-call_7", "[HIGH] db: Überlast (#7)", "Bitte ansehen.\n", KEY, 7)
PUBLISHED = Answer(200, {"id": "sPs71M8A2T", "event": "message"})


def page_of(severity: str, link: str | None = LINK) -> PageFacts:
    return replace(page_facts(severity=severity), link=link)


@pytest.fixture
def ntfy() -> Iterator[HttpServer]:
    with http_server() as server:
        server.default = PUBLISHED
        yield server


def set_up(settings: Settings, **own: Any) -> Channel | None:
    return PushType().set_up(settings, PushSettings(_env_file=None, **own))


def channel(settings: Settings, ntfy: HttpServer, **own: Any) -> Channel:
    found = set_up(settings, **{"ntfy_url": f"{ntfy.url}/", "push_timeout_seconds": 30, **own})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (page_of("critical"), {"priority": 5, "tags": ["rotating_light"], "click": LINK}),
        (page_of("high"), {"priority": 4, "tags": ["rotating_light"], "click": LINK}),
        (page_of("medium"), {"priority": 3, "tags": ["warning"], "click": LINK}),
        (page_of("low", None), {"priority": 2, "tags": ["information_source"]}),
        (
            BundleFacts((page_of("medium"), page_of("critical", None))),
            {"priority": 5, "tags": ["rotating_light"], "click": LINK},
        ),
        (None, {}),
    ],
)
def test_a_page_is_published_as_urgently_as_its_incident_is(
    settings: Settings, ntfy: HttpServer, facts: Facts | None, expected: dict[str, Any]
) -> None:
    outcome = channel(settings, ntfy).send(replace(ENVELOPE, facts=facts))
    assert (outcome.result, outcome.provider_id) == (AttemptOutcome.ACCEPTED, "sPs71M8A2T")
    [asked] = ntfy.requests
    said = {"topic": "on-call_7", "title": ENVELOPE.subject, "message": "Bitte ansehen."}
    assert (asked.method, asked.path, asked.json()) == ("POST", "/", said | expected)
    assert "authorization" not in asked.headers


def test_a_text_is_no_longer_than_a_telephone_shows(settings: Settings, ntfy: HttpServer) -> None:
    channel(settings, ntfy).send(replace(ENVELOPE, body="ü" * 2001))
    assert ntfy.requests[0].json()["message"] == "ü" * 1999 + "…"


@pytest.mark.parametrize("character", ["漢", "😀", '"', "\\", "\x07", "ü漢", "x"])
def test_a_text_stays_below_the_limit_of_ntfy_and_keeps_its_link(
    settings: Settings, ntfy: HttpServer, character: str
) -> None:
    body = "".join(islice(cycle(character), 3000))
    channel(settings, ntfy).send(replace(ENVELOPE, subject="漢" * 200, body=body, facts=page_of("high")))
    [asked] = ntfy.requests
    said = asked.json()
    assert (len(said["message"].encode()) < 4096, len(asked.body) < 2 * 4096) == (True, True)
    assert len(said["message"]) == 2000 or len(said["message"].encode()) > 4080 or len(asked.body) > 2 * 4096 - 16
    assert body.startswith(said["message"].removesuffix("…"))
    assert (said["title"], said["click"]) == ("漢" * 200, LINK)


@pytest.mark.parametrize(("body", "is_whole"), [("ü" * 47 + "漢" * 1333, True), ("ü" * 48 + "漢" * 1333, False)])
def test_a_text_that_just_fits_ntfy_is_sent_whole(
    settings: Settings, ntfy: HttpServer, body: str, is_whole: bool
) -> None:
    channel(settings, ntfy).send(replace(ENVELOPE, body=f"{body}xx"))
    assert (ntfy.requests[0].json()["message"] == f"{body}xx") is is_whole


@pytest.mark.parametrize("count", [200, 1000, 5000])
@pytest.mark.parametrize("separator", [", ", " 漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢, "])
def test_a_bundle_that_is_too_long_for_ntfy_says_how_many_it_does_not_name(
    settings: Settings, ntfy: HttpServer, count: int, separator: str
) -> None:
    ids = numbers(count)
    envelope = replace(ENVELOPE, subject="漢" * 200, body=body_of(ids, separator), facts=facts_of(ids))
    channel(settings, ntfy).send(envelope)
    [asked] = ntfy.requests
    text = asked.json()["message"]
    assert accounted(re.sub(" 漢+", "", text), ids) == count
    assert (len(text) <= 2000, len(text.encode()) < 4096, len(asked.body) < 2 * 4096) == (True, True, True)
    assert len(text) > 1900 or len(text.encode()) > 4000


def test_the_token_is_for_the_operators_server_only(settings: Settings, ntfy: HttpServer) -> None:
    with http_server() as other:
        sender = channel(settings, ntfy, ntfy_token=SecretStr("tk_secret"), push_allow_private_addresses=True)
        for address in ("on-call_7", f"{ntfy.url}/on-call_7", f"{other.url}/on-call_7"):
            assert sender.send(replace(ENVELOPE, address=address)).result is AttemptOutcome.ACCEPTED
    assert [asked.headers.get("authorization") for asked in ntfy.requests] == ["Bearer tk_secret"] * 2
    [elsewhere] = other.requests
    assert ("authorization" in elsewhere.headers, elsewhere.path) == (False, "/")
    assert elsewhere.json()["topic"] == "on-call_7"


def test_a_topic_does_not_lead_into_the_private_network(settings: Settings, ntfy: HttpServer) -> None:
    with http_server() as other:
        outcome = channel(settings, ntfy).send(replace(ENVELOPE, address=f"{other.url}/on-call_7"))
    assert (outcome.result, other.requests) == (AttemptOutcome.DEAD, [])


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer(400, {"code": 40009, "error": "topic invalid"}), AttemptOutcome.DEAD),
        (Answer(401), AttemptOutcome.DEAD),
        (Answer(403), AttemptOutcome.DEAD),
        (Answer(413), AttemptOutcome.DEAD),
        (Answer(429, headers={"Retry-After": "11"}), AttemptOutcome.RETRY),
        (Answer(507), AttemptOutcome.RETRY),
        (Answer(fault="reset"), AttemptOutcome.RETRY),
    ],
)
def test_the_status_decides_whether_it_is_tried_again(
    settings: Settings, ntfy: HttpServer, answer: Answer, result: AttemptOutcome
) -> None:
    ntfy.script(answer, answer)
    outcome = channel(settings, ntfy).send(ENVELOPE)
    assert outcome.result is result
    assert outcome.retry_after_seconds == (11 if answer.status == 429 else None)


def test_there_is_push_only_where_a_way_is_set(settings: Settings) -> None:
    assert set_up(settings) is None
    assert set_up(settings, ntfy_url="https://ntfy.sh") is not None
    assert set_up(settings, web_push_private_key=new_private_key(), web_push_contact="mailto:a@example.com") is not None


def test_an_address_of_ntfy_that_is_none_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="NTFY_URL: "):
        set_up(settings, ntfy_url="ntfy.sh")


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("on-call_7", ""),
        ("https://ntfy.example.com/on-call_7", "ntfy.example.com"),
        ('{"endpoint":"https://push.example.com/x","keys":{}}', "push.example.com"),
        ("{", ""),
    ],
)
def test_what_is_slow_together_is_the_server_that_takes_it(settings: Settings, address: str, provider: str) -> None:
    sender = set_up(settings, web_push_private_key=new_private_key(), web_push_contact="mailto:a@example.com")
    assert sender is not None
    assert sender.provider(address) == provider


def test_a_topic_without_its_server_leads_nowhere_where_there_is_none(settings: Settings) -> None:
    own: dict[str, Any] = {
        "web_push_private_key": new_private_key(),
        "web_push_contact": "mailto:a@example.com",
        "ntfy_token": "hush",
    }
    with pytest.raises(ValueError, match="NTFY_URL is not set here"):
        CHANNELS["push"].clean_address("on-call_7", PushSettings(_env_file=None, **own))
    sender = set_up(settings, **own)
    assert sender is not None
    outcome = sender.send(replace(ENVELOPE, address="on-call_7"))
    assert (outcome.result, outcome.status_code) == (AttemptOutcome.DEAD, None)


@pytest.mark.parametrize("address", ["a", "on-call_7", "x" * 64, "https://ntfy.sh/on-call", "https://n.example:8443/t"])
def test_a_topic_is_kept_as_it_was_given(address: str) -> None:
    assert CHANNELS["push"].clean_address(address, PushSettings(_env_file=None)) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x" * 65,
        "on call",
        "thema/ü",
        "topic\n",
        "http://ntfy.sh/topic",
        "https://ntfy.sh",
        "https://ntfy.sh/",
        "https://ntfy.sh/a/b",
        "https://ntfy.sh/topic?auth=1",
        "https://ntfy.sh/topic?",
        "https://ntfy.sh/topic#x",
        "https://user:secret@ntfy.sh/topic",
        "https://127.0.0.1/topic",
        "https://localhost/topic",
        "https://169.254.169.254/latest",
        "https://[::1]/topic",
        "ftp://ntfy.sh/topic",
        '{"endpoint": "https://push.example.com"}',
    ],
)
def test_what_is_no_topic_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        CHANNELS["push"].clean_address(address, PushSettings(_env_file=None))


def test_where_private_addresses_are_allowed_a_topic_may_be_there() -> None:
    own = PushSettings(_env_file=None, push_allow_private_addresses=True)
    assert CHANNELS["push"].clean_address("http://10.0.0.7/topic", own) == "http://10.0.0.7/topic"
