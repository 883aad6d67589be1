"""Apprise, to a server that takes its JSON."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels import apprise as channel_file
from app.integrations.channels.apprise import AppriseChannel, AppriseSettings, AppriseType
from tests.support.envelopes import KEY, page_facts
from tests.support.http_server import Answer, http_server

ENVELOPE = Envelope("", "[HIGH] db: Überlast (#7)", "Bitte ansehen.\n", KEY, 7)
TYPE = AppriseType()


def set_up(settings: Settings, **own: Any) -> Channel | None:
    return TYPE.set_up(settings, AppriseSettings(_env_file=None, **own))


@pytest.fixture
def channel(settings: Settings) -> Channel:
    found = set_up(settings, apprise_enabled=True, apprise_timeout_seconds=10)
    assert found is not None
    return found


def test_it_is_an_extra_that_is_off_unless_it_is_switched_on(settings: Settings) -> None:
    assert CHANNELS["apprise"].is_optional
    assert set_up(settings) is None


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is not there."""
    channel_file._library.cache_clear()
    monkeypatch.setitem(sys.modules, "apprise", None)
    yield
    channel_file._library.cache_clear()


@pytest.mark.usefixtures("uninstalled")
def test_switched_on_without_the_package_the_operator_is_told_the_cure(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="pip install apprise"):
        set_up(settings, apprise_enabled=True)
    with pytest.raises(ValueError, match="not installed"):
        TYPE.clean_address("json://example.com", AppriseSettings(_env_file=None))


@pytest.mark.parametrize(
    ("severity", "notify_type"),
    [("critical", "failure"), ("high", "failure"), ("medium", "warning"), ("low", "info"), (None, "info")],
)
def test_a_message_is_handed_over_whole_and_says_how_bad_it_is(
    channel: Channel, severity: str | None, notify_type: str
) -> None:
    facts = page_facts(severity=severity) if severity else None
    with http_server() as server:
        address = f"json://127.0.0.1:{server.port}/page"
        outcome = channel.send(replace(ENVELOPE, address=address, facts=facts))
    assert outcome.result is AttemptOutcome.ACCEPTED
    [asked] = server.requests
    said = json.loads(asked.body)
    assert (asked.path, said["title"], said["type"]) == ("/page", ENVELOPE.subject, notify_type)
    assert said["message"].strip() == "Bitte ansehen."


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_failure_is_tried_again_since_its_kind_is_not_told(channel: Channel, status: int) -> None:
    with http_server([Answer(status)]) as server:
        outcome = channel.send(replace(ENVELOPE, address=f"json://127.0.0.1:{server.port}/page"))
    assert outcome.result is AttemptOutcome.RETRY
    assert len(server.requests) == 1
    assert str(server.port) not in (outcome.error or "")


def test_a_service_that_is_not_there_is_tried_again(channel: Channel, deaf_port: int) -> None:
    outcome = channel.send(replace(ENVELOPE, address=f"json://127.0.0.1:{deaf_port}/page"))
    assert outcome.result is AttemptOutcome.RETRY


@pytest.mark.parametrize("fault", ["drip_head", "drip_body"])
def test_a_service_that_never_finishes_its_answer_is_left_in_time(fault: Any) -> None:
    with http_server([Answer(fault=fault)]) as server:
        outcome = AppriseChannel(0.5).send(replace(ENVELOPE, address=f"json://127.0.0.1:{server.port}/page"))
    assert outcome.result is AttemptOutcome.RETRY


def test_an_address_that_stands_for_nothing_is_final(channel: Channel) -> None:
    assert channel.send(replace(ENVELOPE, address="pigeon://loft")).result is AttemptOutcome.DEAD


def test_a_provider_is_the_kind_of_service_and_never_its_secret(channel: Channel) -> None:
    assert channel.provider("tgram://123456789:secret/12315544/") == "tgram"


@pytest.mark.parametrize(
    "address",
    [
        "json://example.com/page",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "mailto://user:password@example.com",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    ],
)
def test_an_address_that_apprise_knows_is_taken_as_it_is(address: str) -> None:
    assert TYPE.clean_address(address, AppriseSettings(_env_file=None)) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "hello",
        "pigeon://loft",
        "json://",
        "file:///etc/passwd",
        "syslog://",
        "SYSLOG://_/?facility=user",
        "dbus://",
        "kde://",
        "gnome://",
        "windows://",
        "macosx://",
        "blink1://",
        "vapid://user@example.com?keyfile=/etc/key.pem&subfile=/etc/sub.json",
        "fcm://project@device/?keyfile=/etc/passwd",
        "mailto://user:password@example.com?pgppub=/etc/passwd",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template=/etc/passwd",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?Template=/etc/passwd",
    ],
)
def test_an_address_that_leads_nowhere_or_to_this_machine_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^(This is not the address of|An address must not lead to)"):
        TYPE.clean_address(address, AppriseSettings(_env_file=None))
