"""Slack: what its incoming webhooks are sent, and what their answers mean."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.core.channel import CHANNELS, Channel, Envelope
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome
from app.integrations import connections
from app.integrations.channels.hook import HookSettings
from app.integrations.channels.slack import ESCAPES, MAX_SECTION, MAX_TEXTS, layout
from app.services.messages import message_service
from tests.support.envelopes import bundle, notice, page
from tests.support.http_server import Answer, HttpServer, http_server

URL = "https://hooks.slack.example/services/T0/B0/hush"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server([Answer(200, "ok")]) as server:
        yield server
    connections.pools().clear()


@pytest.fixture
def slack(settings: Settings) -> Channel:
    own = HookSettings(_env_file=None, webhook_allow_private_addresses=True)
    channel = CHANNELS["slack"].set_up(settings, own)
    assert channel is not None
    return channel


def worded(envelope: Envelope) -> Envelope:
    """The envelope with the body that is shipped for Slack."""
    assert envelope.facts is not None
    return replace(envelope, body=message_service.default("slack", envelope.facts).body)


def texts(blocks: list[dict[str, Any]]) -> list[str]:
    """What the sections say."""
    return [block["text"]["text"] for block in blocks if block["type"] == "section" and "text" in block]


def obey(envelope: Envelope) -> list[dict[str, Any]]:
    """The blocks of a message, which keep Slack's limits."""
    blocks: list[dict[str, Any]] = layout(envelope)["blocks"]
    assert 0 < len(blocks) <= 50
    assert 0 < len(blocks[0]["text"]["text"]) <= 150
    assert all(0 < len(text) <= MAX_SECTION for text in texts(blocks))
    return blocks


def test_a_page_is_a_headline_fields_and_a_button(slack: Channel, server: HttpServer) -> None:
    envelope = worded(page(server.url))
    assert slack.send(envelope).result is AttemptOutcome.ACCEPTED
    said = server.requests[0].json()
    header, *sections, fields, actions = said["blocks"]
    assert said["text"] == header["text"]["text"] == envelope.subject
    assert texts(sections) == ["Look at it.\n\nDisk is full\n\nNo space left on /var."]
    named = ["*Severity*\ncritical", "*Service*\ndatabase", "*Incident*\n#7"]
    assert [field["text"] for field in fields["fields"]] == named
    assert actions["elements"][0]["url"] == envelope.pages[0].link


def test_without_a_link_there_is_no_button() -> None:
    envelope = page(URL)
    blocks = obey(replace(envelope, facts=replace(envelope.pages[0], link=None, note=None)))
    assert [block["type"] for block in blocks] == ["header", "section", "section"]


def test_nothing_that_an_alert_says_is_a_link_or_a_mention() -> None:
    message = layout(worded(page(URL, title="<!channel> & <https://evil.example|here>", service="<@U1>")))
    said = json.dumps([message["text"], *message["blocks"][1:]])  # a header is plain text, in which nothing means more
    assert "<!" not in said
    assert "<@" not in said
    assert "&lt;!channel&gt; &amp; &lt;https" in said


def test_what_is_too_long_is_cut_to_what_slack_takes() -> None:
    blocks = obey(worded(page(URL, title="t" * 255, service="s" * 100, description="&" * 2000)))
    assert max(len(text) for text in texts(blocks)) > MAX_SECTION - 10


@pytest.mark.parametrize("line", ["x" * 4000, "<" * 60, "&", "  ", "x" * 2999, "x"])
def test_a_long_body_is_several_sections_that_end_where_a_line_does(line: str) -> None:
    said = texts(obey(replace(page(URL), body=f"From:\n{line}\n" * 3000)))
    assert sum(map(len, said)) < MAX_TEXTS + 10
    assert said[0].startswith("From:")
    assert said[-1].endswith("…")
    assert {len(text.splitlines()[-1]) for text in said[:-1]} <= {5, len(line.translate(ESCAPES)), MAX_SECTION, 0}


def test_a_body_keeps_its_indentation_and_a_space_where_a_tab_was() -> None:
    [said] = texts(obey(notice(URL, "host\tcpu\u00a0very\u3000high:\r\n  - db-1\u200b\n\n  - db-2\n")))
    assert said == "host cpu very high: \n  - db-1\n\n  - db-2"


@pytest.mark.parametrize("count", [2, 30, 1000])
def test_a_bundle_names_its_incidents_and_links_to_them(count: int) -> None:
    said = "\n".join(texts(obey(worded(bundle(URL, count, title="&" * 255)))))
    assert "<https://incidents.example/pages/1-" in said
    assert all(f"#{number}" in said for number in range(1, min(count, 400)))


def test_a_bundle_of_more_than_there_is_room_for_counts_the_rest() -> None:
    said = texts(obey(replace(bundle(URL, 5000), body="x" * 10_000)))
    named = sum(text.count("#") for text in said)
    assert said[-1].endswith(f" and {5000 - named} more")


def test_a_message_about_no_incident_is_its_text() -> None:
    assert texts(obey(notice(URL, "It <is> off."))) == ["It &lt;is&gt; off."]


@pytest.mark.parametrize("text", ["", "\x00", "x" * 100_000])
def test_any_text_makes_a_message(text: str) -> None:
    envelope = notice(URL, text)
    header, *_ = layout(replace(envelope, subject=text))["blocks"]
    assert 0 < len(header["text"]["text"]) <= 150
    obey(envelope)


@pytest.mark.parametrize(
    ("answer", "result", "is_gone"),
    [
        (Answer(404, "no_service"), AttemptOutcome.DEAD, True),
        (Answer(410, "channel_is_archived"), AttemptOutcome.DEAD, True),
        (Answer(403, "action_prohibited"), AttemptOutcome.DEAD, False),
        (Answer(400, "invalid_payload"), AttemptOutcome.DEAD, False),
        (Answer(500, "rollup_error"), AttemptOutcome.RETRY, False),
    ],
)
def test_an_answer_of_slack_means(
    slack: Channel, server: HttpServer, answer: Answer, result: AttemptOutcome, is_gone: bool
) -> None:
    server.answers.clear()
    server.script(answer, answer)
    outcome = slack.send(page(server.url))
    assert (outcome.result, outcome.is_address_gone) == (result, is_gone)
    assert str(answer.body) in str(outcome.error)


def test_slack_says_when_to_come_again(slack: Channel, server: HttpServer) -> None:
    server.answers.clear()
    server.script(Answer(429, headers={"Retry-After": "30"}))
    outcome = slack.send(page(server.url))
    assert (outcome.result, outcome.retry_after_seconds) == (AttemptOutcome.RETRY, 30)


def test_who_takes_a_message_is_the_host(slack: Channel) -> None:
    assert slack.provider(URL) == "hooks.slack.example"
