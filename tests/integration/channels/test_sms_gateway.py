"""SMS by a gateway of the operator's, which a server on a socket stands for."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.channel import Channel, Envelope
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.sms.channel import SmsSettings, SmsType
from tests.support.envelopes import KEY, LINK
from tests.support.http_server import Answer, HttpServer, http_server

TEXT = 'Sie sagte: "Störung"\nin C:\\temp\thttps://pager.example.com/p/7'
ENVELOPE = Envelope("+1 (555) 010-0199", "subject", TEXT, KEY, 7)


@pytest.fixture
def gateway() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


def set_up(settings: Settings, **own: Any) -> Channel | None:
    return SmsType().set_up(settings, SmsSettings(_env_file=None, **own))


def channel(settings: Settings, gateway: HttpServer, **own: Any) -> Channel:
    found = set_up(settings, sms_gateway_url=f"{gateway.url}/send?from=pager", sms_timeout_seconds=30, **own)
    assert found is not None
    return found


def test_without_a_body_of_its_own_a_gateway_gets_json(settings: Settings, gateway: HttpServer) -> None:
    assert channel(settings, gateway).send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    [asked] = gateway.requests
    assert (asked.method, asked.path) == ("POST", "/send?from=pager")
    assert asked.headers["content-type"] == "application/json"
    assert asked.json() == {"to": "+15550100199", "text": TEXT, "key": str(KEY)}


def test_the_operator_words_the_body_the_headers_and_the_content_type(settings: Settings, gateway: HttpServer) -> None:
    sender = channel(
        settings,
        gateway,
        sms_gateway_body="number={{ to | urlencode }}&content={{ text | urlencode }}",
        sms_gateway_content_type="application/x-www-form-urlencoded",
        sms_gateway_headers='{"Authorization": "Bearer secret", "X-Queue": "pages"}',
    )
    assert sender.send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    [asked] = gateway.requests
    assert asked.form() == {"number": "+15550100199", "content": TEXT}
    assert (asked.headers["authorization"], asked.headers["x-queue"]) == ("Bearer secret", "pages")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("text", ['"', "\\", "\n\r\t", "</script>", "ü€😀", '"},"a":{"', "{{ key }}", "\x07"])
def test_whatever_a_text_holds_it_stays_one_json_text(settings: Settings, gateway: HttpServer, text: str) -> None:
    channel(settings, gateway).send(replace(ENVELOPE, body=f"<{text}>"))
    [asked] = gateway.requests
    assert asked.json() == {"to": "+15550100199", "text": f"<{text}>", "key": str(KEY)}


@pytest.mark.parametrize("character", ["漢", "😀", '"', "\x07"])
def test_a_text_of_any_script_arrives_whole_as_a_form_or_as_json(
    settings: Settings, gateway: HttpServer, character: str
) -> None:
    text = f"{character * 1500}\n{LINK}"
    form = {"sms_gateway_body": "to={{ to | urlencode }}&text={{ text | urlencode }}"}
    channel(settings, gateway, **form).send(replace(ENVELOPE, body=text))
    channel(settings, gateway).send(replace(ENVELOPE, body=text))
    assert [gateway.requests[0].form()["text"], gateway.requests[1].json()["text"]] == [text, text]


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("id", {"id": "m-1"}, "m-1"),
        ("id", {"id": 17}, "17"),
        ("messages.0.message_id", {"messages": [{"message_id": "m-2"}]}, "m-2"),
        ("id", {"id": None}, None),
        ("id", {"id": {"of": 1}}, None),
        ("id.of", {"id": "m"}, None),
        ("messages.1.id", {"messages": [{"id": "m"}]}, None),
        ("messages.id", {"messages": [{"id": "m"}]}, None),
        ("id", {"id": "x" * 300}, "x" * 255),
        ("id", "not JSON", None),
        ("id", "", None),
        ("0", "[1, 2]", "1"),
        (None, {"id": "m-1"}, None),
    ],
)
def test_the_path_leads_to_the_messages_id(
    settings: Settings, gateway: HttpServer, path: str | None, answer: Any, expected: str | None
) -> None:
    gateway.script(Answer(200, answer))
    outcome = channel(settings, gateway, sms_gateway_id_path=path).send(ENVELOPE)
    assert (outcome.result, outcome.provider_id) == (AttemptOutcome.ACCEPTED, expected)
    assert outcome.answer is None


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer(400, "bad number"), AttemptOutcome.DEAD),
        (Answer(404), AttemptOutcome.DEAD),
        (Answer(429, headers={"Retry-After": "9"}), AttemptOutcome.RETRY),
        (Answer(503), AttemptOutcome.RETRY),
        (Answer(302, headers={"Location": "https://example.com"}), AttemptOutcome.DEAD),
        (Answer(fault="reset"), AttemptOutcome.RETRY),
    ],
)
def test_the_status_decides_whether_it_is_tried_again(
    settings: Settings, gateway: HttpServer, answer: Answer, result: AttemptOutcome
) -> None:
    gateway.script(answer)
    outcome = channel(settings, gateway, sms_gateway_id_path="id").send(ENVELOPE)
    assert (outcome.result, outcome.provider_id) == (result, None)
    assert outcome.retry_after_seconds == (9 if answer.status == 429 else None)
    assert len(gateway.requests) == 1


def test_a_gateway_that_hangs_is_left_in_time(settings: Settings, gateway: HttpServer) -> None:
    gateway.script(Answer(fault="hang"))
    sender = set_up(settings, sms_gateway_url=gateway.url, sms_timeout_seconds=0.3)
    assert sender is not None
    assert sender.send(ENVELOPE).result is AttemptOutcome.RETRY


def test_a_body_that_cannot_be_rendered_is_final_and_is_told(settings: Settings, gateway: HttpServer) -> None:
    endless = "{{ text }}" * 70 + "{% for a in text %}{{ text }}{% endfor %}"
    outcome = channel(settings, gateway, sms_gateway_body=endless).send(replace(ENVELOPE, body="x" * 1600))
    assert outcome.result is AttemptOutcome.DEAD
    assert "SMS_GATEWAY_BODY" in (outcome.error or "")
    assert gateway.requests == []


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"sms_gateway_url": "gateway"}, "SMS_GATEWAY_URL: "),
        ({"sms_gateway_url": "https://user:secret@gateway.example"}, "SMS_GATEWAY_URL: "),
        ({"sms_gateway_body": "{{ to"}, "SMS_GATEWAY_BODY is not a template: "),
        ({"sms_gateway_body": "{% import 'os' as os %}"}, "SMS_GATEWAY_BODY is not a template: "),
        ({"sms_gateway_headers": "Authorization: secret"}, "SMS_GATEWAY_HEADERS must be a JSON object"),
        ({"sms_gateway_headers": '["secret"]'}, "SMS_GATEWAY_HEADERS must be a JSON object"),
        ({"sms_gateway_headers": json.dumps({"secret": 1})}, "SMS_GATEWAY_HEADERS must be a JSON object"),
    ],
)
def test_a_setting_that_cannot_work_is_named_and_no_secret_is_shown(
    settings: Settings, own: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        set_up(settings, **{"sms_gateway_url": "https://gateway.example", **own})
    assert str(caught.value).startswith(told)
    assert "secret" not in str(caught.value)


def test_two_providers_are_one_too_many(settings: Settings) -> None:
    twilio = {"twilio_account_sid": "AC1", "twilio_auth_token": SecretStr("t"), "twilio_phone_number": "+15550100"}
    with pytest.raises(ConfigurationError, match="only one of them"):
        set_up(settings.model_copy(update=twilio), sms_gateway_url="https://gateway.example")


def test_what_is_slow_together_is_the_gateway(settings: Settings) -> None:
    sender = set_up(settings, sms_gateway_url="https://sms.example.com/send")
    assert sender is not None
    assert sender.provider("+15550100") == "sms.example.com"
