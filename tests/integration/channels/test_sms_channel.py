"""SMS by Twilio, which a server on a socket stands for."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings, get_settings
from app.core.errors import ConfigurationError
from app.core.facts import PageFacts
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.sms.channel import SmsSettings, SmsType
from tests.support.bundled import accounted, body_of, facts_of, numbers
from tests.support.envelopes import KEY, LINK, page_facts
from tests.support.http_server import Answer, HttpServer, http_server

TEXT = f"[HIGH] db: Überlast (#7)\n{LINK}"
FACTS = replace(page_facts(), link=LINK)
ENVELOPE = Envelope("+1 (555) 010-0199", "[HIGH] db: Überlast (#7)", f"{TEXT}\n", KEY, 7, facts=FACTS)
SID = "SM0123456789abcdef0123456789abcdef"
QUEUED = Answer(201, {"sid": SID, "status": "queued", "error_code": None})
TWILIO = {"twilio_account_sid": "AC123", "twilio_auth_token": SecretStr("secret"), "twilio_phone_number": "+15550100"}


def refused(status: int, code: int, message: str = "No.") -> Answer:
    return Answer(status, {"code": code, "message": message, "more_info": "https://example.com", "status": status})


@pytest.fixture
def twilio() -> Iterator[HttpServer]:
    with http_server() as server:
        server.default = QUEUED
        yield server


def set_up(settings: Settings, given: dict[str, Any] | None = None, **own: Any) -> Channel | None:
    changed = settings.model_copy(update=TWILIO if given is None else given)
    return SmsType().set_up(changed, SmsSettings(_env_file=None, **own))


def channel(settings: Settings, twilio: HttpServer, **given: Any) -> Channel:
    found = set_up(settings, {**TWILIO, **given}, twilio_base_url=f"{twilio.url}/", sms_timeout_seconds=30)
    assert found is not None
    return found


def test_a_message_is_handed_to_twilio_as_its_documentation_says(settings: Settings, twilio: HttpServer) -> None:
    outcome = channel(settings, twilio, public_url="https://pager.example.com/").send(ENVELOPE)
    assert (outcome.result, outcome.provider_id, outcome.answer) == (AttemptOutcome.ACCEPTED, SID, None)
    [asked] = twilio.requests
    assert (asked.method, asked.path) == ("POST", "/2010-04-01/Accounts/AC123/Messages.json")
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(b'AC123:secret').decode()}"
    assert asked.form() == {
        "To": "+15550100199",
        "From": "+15550100",
        "Body": TEXT,
        "StatusCallback": f"https://pager.example.com/v1/notifications/callbacks/twilio?key={KEY}",
    }


def test_a_messaging_service_sends_for_many_numbers(settings: Settings, twilio: HttpServer) -> None:
    channel(settings, twilio, twilio_phone_number="MG123").send(ENVELOPE)
    form = twilio.requests[0].form()
    assert (form["MessagingServiceSid"], "From" in form) == ("MG123", False)


@pytest.mark.parametrize(
    ("public_url", "is_reported"),
    [
        ("https://pager.example.com", True),
        ("http://192.0.2.7:8000", True),
        ("http://127.0.0.1:8000", False),
        ("http://localhost:8000", False),
        ("http://[::1]:8000", False),
        ("http://0.0.0.0:8000", False),
    ],
)
def test_twilio_is_asked_to_report_only_where_it_can(
    settings: Settings, twilio: HttpServer, public_url: str, is_reported: bool
) -> None:
    assert channel(settings, twilio, public_url=public_url).send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    assert ("StatusCallback" in twilio.requests[0].form()) is is_reported


@pytest.mark.parametrize(
    ("answer", "result", "is_gone", "said"),
    [
        (refused(400, 21211, "Invalid 'To'"), AttemptOutcome.DEAD, True, "Twilio error 21211: Invalid 'To'"),
        (refused(400, 21214), AttemptOutcome.DEAD, True, "Twilio error 21214"),
        (refused(400, 21217), AttemptOutcome.DEAD, True, "Twilio error 21217"),
        (refused(400, 21614), AttemptOutcome.DEAD, True, "Twilio error 21614"),
        (refused(400, 21635), AttemptOutcome.DEAD, True, "Twilio error 21635"),
        (refused(400, 21610), AttemptOutcome.DEAD, True, "Twilio error 21610"),
        (refused(400, 21606), AttemptOutcome.DEAD, False, "Twilio error 21606"),
        (refused(401, 20003), AttemptOutcome.DEAD, False, "Twilio error 20003"),
        (refused(429, 20429), AttemptOutcome.RETRY, False, "Twilio error 20429"),
        (refused(400, 20429), AttemptOutcome.RETRY, False, "Twilio error 20429"),
        (refused(503, 20503), AttemptOutcome.RETRY, False, "Twilio error 20503"),
        (Answer(500, "<html>Oops</html>"), AttemptOutcome.RETRY, False, "500"),
        (Answer(400, "[1]"), AttemptOutcome.DEAD, False, "400"),
        (Answer(fault="reset"), AttemptOutcome.RETRY, False, ""),
    ],
)
def test_twilios_word_decides_whether_it_is_tried_again(
    settings: Settings, twilio: HttpServer, answer: Answer, result: AttemptOutcome, is_gone: bool, said: str
) -> None:
    twilio.script(answer)
    outcome = channel(settings, twilio).send(ENVELOPE)
    assert (outcome.result, outcome.is_address_gone) == (result, is_gone)
    assert said in (outcome.error or "")
    assert "secret" not in (outcome.error or "")


def test_too_many_at_once_wait_as_long_as_twilio_says(settings: Settings, twilio: HttpServer) -> None:
    twilio.script(replace(refused(429, 20429), headers={"Retry-After": "7"}))
    assert channel(settings, twilio).send(ENVELOPE).retry_after_seconds == 7


@pytest.mark.parametrize("facts", [FACTS, replace(FACTS, link=None), None])
def test_a_text_that_is_too_long_loses_its_end_but_never_its_link(
    settings: Settings, twilio: HttpServer, facts: PageFacts | None
) -> None:
    body = f"{'Der Speicher ist voll. ' * 100}\n{LINK}"
    channel(settings, twilio).send(replace(ENVELOPE, body=body, facts=facts))
    sent = twilio.requests[0].form()["Body"]
    assert 1500 < len(sent) <= 1600
    assert sent.startswith("Der Speicher ist voll. Der")
    assert sent.endswith(f" …\n{LINK}" if facts is not None and facts.link else " …")


@pytest.mark.parametrize("separator", [", ", ",", "\n"])
def test_a_bundle_too_long_counts_what_it_does_not_name_and_keeps_its_link(
    settings: Settings, twilio: HttpServer, separator: str
) -> None:
    ids = range(1000, 2000, 2)
    body = f"500 incidents: {separator.join(f'#{id_}' for id_ in ids)}\n\n{LINK}{ids[0]}"
    channel(settings, twilio).send(replace(ENVELOPE, body=body, facts=facts_of(ids)))
    sent = twilio.requests[0].form()["Body"]
    said, _, link = sent.rpartition("\n")
    names, _, rest = said.partition(" and ")
    named = [int(number) for number in re.findall(r"#(\d+)", names)]
    assert (1580 < len(sent) <= 1600, link) == (True, f"{LINK}{ids[0]}")
    assert (named, rest) == (list(ids)[: len(named)], f"{len(ids) - len(named)} more")
    assert names.endswith(f"#{named[-1]}")


@pytest.mark.parametrize("count", [200, 1000, 5000])
@pytest.mark.parametrize("separator", [", ", "、"])
def test_no_incident_of_a_huge_bundle_is_lost_by_sms(
    settings: Settings, twilio: HttpServer, count: int, separator: str
) -> None:
    ids = numbers(count)
    channel(settings, twilio).send(replace(ENVELOPE, body=body_of(ids, separator), facts=facts_of(ids)))
    sent = twilio.requests[0].form()["Body"]
    text, _, link = sent.rpartition("\n")
    assert accounted(text.replace("、 and ", " and "), ids) == count
    assert (1580 < len(sent) <= 1600, link) == (True, f"{LINK}{ids[0]}")


def test_the_incidents_of_a_range_are_named(settings: Settings, twilio: HttpServer) -> None:
    body = f"#1-#4990, {', '.join(f'#{id_}' for id_ in range(5000, 5600, 2))}"
    facts = facts_of([*range(1, 4991), *range(5000, 5600, 2)])
    channel(settings, twilio).send(replace(ENVELOPE, body=body, facts=facts))
    said = twilio.requests[0].form()["Body"].splitlines()[0]
    assert said.endswith(f" and {300 - (said.count('#') - 2)} more")


@pytest.mark.parametrize("ids", [[1, 2], [1]])
def test_a_bundle_that_names_all_and_then_says_too_much_loses_only_that(
    settings: Settings, twilio: HttpServer, ids: list[int]
) -> None:
    body = f"#1, #2 {'Der Speicher ist voll. ' * 100}"
    channel(settings, twilio).send(replace(ENVELOPE, body=body, facts=facts_of(ids)))
    assert twilio.requests[0].form()["Body"].endswith(f" …\n{LINK}1")


def test_one_endless_word_is_cut_all_the_same(settings: Settings, twilio: HttpServer) -> None:
    channel(settings, twilio).send(replace(ENVELOPE, body="x" * 5000))
    sent = twilio.requests[0].form()["Body"]
    assert (len(sent), sent[-len(LINK) :]) == (1600, LINK)


@pytest.mark.parametrize("length", [1599, 1600])
def test_a_text_that_fits_is_sent_whole(settings: Settings, twilio: HttpServer, length: int) -> None:
    channel(settings, twilio).send(replace(ENVELOPE, body="x" * length))
    assert twilio.requests[0].form()["Body"] == "x" * length


def test_without_any_provider_there_is_no_sms(settings: Settings) -> None:
    assert set_up(settings, {}) is None


@pytest.mark.parametrize("name", list(TWILIO))
def test_what_is_set_in_part_is_named(settings: Settings, name: str) -> None:
    without = {**TWILIO, name: None}
    with pytest.raises(ConfigurationError, match=f"partly set up: set {name.upper()}"):
        set_up(settings, without)
    others = " and ".join(other.upper() for other in TWILIO if other != name)
    with pytest.raises(ConfigurationError, match=f"partly set up: set {others}"):
        set_up(settings, {name: TWILIO[name]})


def test_an_address_of_twilio_that_is_none_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="TWILIO_BASE_URL: "):
        set_up(settings, twilio_base_url="api.twilio.com")


def test_what_is_slow_together_is_the_provider(settings: Settings, twilio: HttpServer) -> None:
    assert channel(settings, twilio).provider("+15550100") == "127.0.0.1"


def test_a_report_that_twilio_cannot_make_keeps_no_message_from_being_sent(
    settings: Settings, twilio: HttpServer
) -> None:
    twilio.script(refused(400, 21609, "The 'StatusCallback' URL is not a valid URL"))
    sender = channel(settings, twilio, public_url="https://pager.example.com")
    with capture_logs() as logs:
        assert sender.send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    assert [(line["event"], line["log_level"]) for line in logs] == [("extras_refused", "warning")]
    first, second = (asked.form() for asked in twilio.requests)
    assert first.pop("StatusCallback")
    assert second == first


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("+15550100", "+15550100"),
        ("+1 (555) 010-0199", "+15550100199"),
        ("+49 (0)151 12345678", "+4915112345678"),
        ("+49.151.12345678", "+4915112345678"),
    ],
)
def test_a_telephone_number_is_kept_as_it_can_be_dialled(written: str, stored: str) -> None:
    assert CHANNELS["sms"].clean_address(written, SmsSettings(_env_file=None)) == stored


def test_a_number_that_was_stored_as_it_was_written_is_dialled_rightly(settings: Settings, twilio: HttpServer) -> None:
    channel(settings, twilio).send(replace(ENVELOPE, address="+49 (0)151 12345678"))
    assert twilio.requests[0].form()["To"] == "+4915112345678"


@pytest.mark.parametrize(("region", "stored"), [("DE", "+4915112345678"), ("at", "+4315112345678")])
def test_a_number_without_a_country_is_of_the_operators_region(
    monkeypatch: pytest.MonkeyPatch, region: str, stored: str
) -> None:
    monkeypatch.setenv("PHONE_DEFAULT_REGION", region)
    get_settings.cache_clear()
    try:
        assert CHANNELS["sms"].clean_address("0151/12345678", SmsSettings(_env_file=None)) == stored
    finally:
        get_settings.cache_clear()


def test_a_number_without_a_country_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"^This has no country: write it with a plus and the country's code"):
        CHANNELS["sms"].clean_address("0151/12345678", SmsSettings(_env_file=None))


def test_a_region_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="must be the two letters of a country"):
        Settings(_env_file=None, phone_default_region="Germany")


@pytest.mark.parametrize("address", ["", "call me", "1" * 33, "+", "+15550100\n", "\uff11\uff12\uff13", "+1555;ext=1"])
def test_what_is_no_telephone_number_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^This is not a telephone number"):
        CHANNELS["sms"].clean_address(address, SmsSettings(_env_file=None))
