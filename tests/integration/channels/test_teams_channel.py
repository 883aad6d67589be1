"""Teams: the card that a workflow is sent, and what its answers mean."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome, MessageKind
from app.integrations import connections
from app.integrations.channels.hook import HookSettings
from app.integrations.channels.teams import layout
from app.services.messages import message_service
from tests.support.envelopes import bundle, notice, page
from tests.support.http_server import Answer, HttpServer, http_server

MAX_CARD_BYTES = 28 * 1024  # what Teams takes
URL = "https://flows.example/workflows/1?sig=hush"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server([Answer(202)]) as server:
        yield server
    connections.pools().clear()


@pytest.fixture
def teams(settings: Settings) -> Channel:
    own = HookSettings(_env_file=None, webhook_allow_private_addresses=True)
    channel = CHANNELS["teams"].set_up(settings, own)
    assert channel is not None
    return channel


def worded(envelope: Envelope) -> Envelope:
    """The envelope with the body that is shipped for Teams."""
    event = MessageKind.BUNDLE if "incidents" in envelope.facts else MessageKind.PAGE
    return replace(envelope, body=message_service.default("teams", event, envelope.facts).body)


def card_of(message: dict[str, Any]) -> dict[str, Any]:
    """The one card of a message."""
    [attachment] = message["attachments"]
    assert (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card: dict[str, Any] = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    return card


def lines(card: dict[str, Any]) -> list[str]:
    """What the card says: texts in which nothing is Markdown."""
    assert {element["type"] for element in card["body"]} == {"RichTextBlock"}
    return [run["text"] for element in card["body"] for run in element["inlines"]]


def obey(envelope: Envelope) -> list[str]:
    """What a message says, which is no larger than Teams takes."""
    message = layout(envelope)
    assert len(json.dumps(message, ensure_ascii=False).encode()) <= MAX_CARD_BYTES
    said = lines(card_of(message))
    assert all(said)
    return said


def test_a_page_is_a_card_with_a_button(teams: Channel, server: HttpServer) -> None:
    envelope = worded(page(server.url))
    assert teams.send(envelope).result is AttemptOutcome.ACCEPTED
    card = card_of(server.requests[0].json())
    facts = "Severity: critical\nService: database\nIncident: #7"
    assert lines(card) == [envelope.subject, "Look at it.", "Disk is full", "No space left on /var.", facts]
    [action] = card["actions"]
    assert (action["type"], action["url"]) == ("Action.OpenUrl", envelope.facts["link"])


@pytest.mark.parametrize(
    ("severity", "color"), [("critical", "attention"), ("high", "attention"), ("medium", "warning"), ("low", "default")]
)
def test_the_headline_has_the_colour_of_the_severity(severity: str, color: str) -> None:
    title = card_of(layout(page(URL, severity=severity)))["body"][0]["inlines"][0]
    assert title["color"] == color


def test_without_a_link_there_is_no_button() -> None:
    envelope = page(URL)
    assert card_of(layout(replace(envelope, facts={**envelope.facts, "link": None})))["actions"] == []


def test_the_longest_page_fits() -> None:
    envelope = page(URL, title="🔥" * 255, service="🔥" * 100, description="🔥" * 2000)
    longest = replace(envelope, subject="🔥" * 200, facts={**envelope.facts, "note": "🔥" * 2000})
    said = obey(worded(longest))
    assert said[1:4] == ["🔥" * 2000, "🔥" * 255, "🔥" * 2000]


@pytest.mark.parametrize("text", ["🔥" * 20_000, "🔥\n\n" * 6000, "x\n \n\n" * 4000, "🔥" * 4999 + "\n\n🔥" * 200])
def test_any_body_fits(text: str) -> None:
    said = obey(replace(page(URL, service="🔥" * 100), subject="🔥" * 200, body=text))
    assert said[-2].endswith("…")
    assert said[-1].endswith("Incident: #7")
    listed = obey(replace(bundle(URL, 5000, title="🔥" * 255), subject="🔥" * 200, body=text))
    assert "\n".join(listed[2:]).count("#1 ") == 1


def test_a_tab_and_the_spaces_of_other_scripts_are_spaces() -> None:
    assert obey(notice(URL, "host\tcpu\u00a0very\u3000high\u200b"))[1] == "host cpu very high"


@pytest.mark.parametrize("count", [2, 30, 300])
def test_a_bundle_names_its_incidents_and_links_to_them(count: int) -> None:
    envelope = worded(bundle(URL, count, title="🔥" * 255))
    said = "\n".join(obey(replace(envelope, subject="x")))
    assert all(f"#{number}" in said for number in range(1, min(count, 200) + 1))
    first = card_of(layout(envelope))["body"][2]["inlines"][0]
    assert first["selectAction"]["url"] == envelope.facts["incidents"][0]["link"]


def test_a_bundle_of_more_than_there_is_room_for_counts_the_rest() -> None:
    said = obey(replace(bundle(URL, 5000), body="x" * 10_000))
    named = sum(line.count("#") for line in said[1:])
    assert said[-1].endswith(f" and {5000 - named} more")


@pytest.mark.parametrize("text", ["It is off.", "", "\x00", "🔥" * 100_000])
def test_a_message_about_no_incident_is_its_text(text: str) -> None:
    said = obey(notice(URL, text))
    assert said[0] == "About your notifications"
    assert said[1][:10] == (text.replace("\x00", "")[:10] or "…")


@pytest.mark.parametrize(
    ("answer", "result", "is_gone"),
    [
        (Answer(404), AttemptOutcome.DEAD, True),
        (Answer(410), AttemptOutcome.DEAD, True),
        (Answer(401), AttemptOutcome.DEAD, False),
        (Answer(429), AttemptOutcome.RETRY, False),
        (Answer(502), AttemptOutcome.RETRY, False),
    ],
)
def test_an_answer_of_the_workflow_means(
    teams: Channel, server: HttpServer, answer: Answer, result: AttemptOutcome, is_gone: bool
) -> None:
    server.answers.clear()
    server.script(answer)
    outcome = teams.send(page(server.url))
    assert (outcome.result, outcome.is_address_gone) == (result, is_gone)


def test_who_takes_a_message_is_the_host(teams: Channel) -> None:
    assert teams.provider(URL) == "flows.example"
