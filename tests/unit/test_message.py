"""What the plain messages say."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.core.facts import (
    BundleFacts,
    ChannelTestFacts,
    IncidentFacts,
    NoticeFacts,
    PasswordResetFacts,
    StatusUpdateFacts,
    StatusUpdatesFacts,
    VerificationFacts,
)
from app.core.vocabulary import MessageKind
from app.services.messages.message import (
    MAX_FACT,
    MAX_NAME,
    MAX_SUBJECT,
    Message,
    api_url,
    context,
    headline,
    named,
    one_line,
    page_facts,
    plain,
    shortened,
)
from app.services.messages.message_sample import sample
from tests.support.wording import LOST, assert_reads_well

URL = "https://pager.example.com"
LINK = f"{URL}/p/7.1.99.abc"
AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)


def page(title: str = "Disk full", note: str | None = None) -> Message:
    incident = IncidentFacts(
        id=7,
        title=title,
        severity="critical",
        service="api",
        status="open",
        source="api",
        description="97 %",
        created_at=datetime(2026, 1, 20, 10, 30, tzinfo=UTC),
        metadata={},
    )
    return plain(page_facts(incident, note=note, url="https://pager.example.com", link=LINK))


def test_a_page_says_how_bad_where_what_and_where_to_go() -> None:
    message = page(note="Call the vendor.")
    assert message.subject == "[CRITICAL] api: Disk full (#7)"
    for part in ("Call the vendor.", "critical", "97 %", LINK, "https://pager.example.com/v1/incidents/7/acknowledge"):
        assert part in message.body


def test_a_subject_is_one_short_line_whatever_the_title_is() -> None:
    subject = page(title="Disk\r\nBcc: everybody@example.com\x07\N{LINE SEPARATOR}" + "x" * 500).subject
    assert subject.isprintable()
    assert len(subject) == MAX_SUBJECT


def test_a_reset_mail_links_to_the_page_that_sets_the_password() -> None:
    body = plain(PasswordResetFacts("abc", "https://pager.example.com", 30)).body
    assert "\nhttps://pager.example.com/reset-password/abc\n" in body
    assert "30 minutes" in body


@pytest.mark.parametrize("event", MessageKind)
def test_there_is_a_plain_message_for_every_event(event: MessageKind) -> None:
    message = plain(sample(event, "email", url="https://pager.example.com"))
    assert message.subject
    assert message.body.endswith("\n")


def incident(number: int = 7, title: str = "Disk full", **facts: Any) -> IncidentFacts:
    known = {"severity": "low", "service": "api", "status": "open", "source": "api", "description": None}
    return IncidentFacts(id=number, title=title, **{**known, "created_at": AT, **facts})


@pytest.mark.parametrize("event", MessageKind)
def test_every_plain_message_reads_well(event: MessageKind) -> None:
    message = plain(sample(event, "email", url=URL))
    assert_reads_well(message.subject.removeprefix("Re: ").replace("[HIGH]", "High"))
    assert_reads_well(message.body.replace("[HIGH]", "High").rstrip("\n"))
    assert not message.body.endswith("\n\n")


@pytest.mark.parametrize(("note", "link"), [(None, None), ("Call.", None), (None, LINK)])
def test_a_page_has_one_paragraph_for_each_thing_it_says(note: str | None, link: str | None) -> None:
    facts = page_facts(incident(description="97 %"), note=note, url=URL, link=link)
    paragraphs = plain(facts).body.rstrip("\n").split("\n\n")
    way = f"POST {URL}/v1/incidents/7/acknowledge"
    assert paragraphs[:2] == (["Call.", "Disk full"] if note else ["Disk full", paragraphs[1]])
    assert f"Or: {way}" in paragraphs if link else paragraphs[-1] == way
    assert "97 %" in paragraphs
    assert any(paragraph.endswith(f":\n{LINK}") for paragraph in paragraphs) is (link is not None)


def test_a_page_shows_severity_service_and_number_one_below_the_other() -> None:
    lines = plain(page_facts(incident(), note=None, url=URL, link=None)).body.split("\n")
    assert [line.partition(":")[2].strip() for line in lines[2:5]] == ["low", "api", "#7"]
    assert [line.partition(":")[0] for line in lines[2:5]] == ["Severity", "Service", "Incident"]


@pytest.mark.parametrize(
    ("description", "kept"), [(None, None), ("", None), ("x" * MAX_FACT, "x" * MAX_FACT), ("x" * 9_000, "x" * MAX_FACT)]
)
def test_a_long_description_is_shortened(description: str | None, kept: str | None) -> None:
    assert shortened(incident(description=description)) == incident(description=kept)


@pytest.mark.parametrize(
    "url", ["https://pager.example.com", "https://pager.example.com/", "https://pager.example.com//"]
)
def test_the_api_has_an_incident_below_the_public_address(url: str) -> None:
    assert api_url(incident(), url) == "https://pager.example.com/v1/incidents/7"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\n b\tc", "a b c"),
        ("  a  ", "a"),
        ("a\x07\N{LINE SEPARATOR}b", "a b"),
        ("ü x", "ü x"),
        ("x" * 300, "x" * MAX_SUBJECT),
    ],
)
def test_a_header_is_one_line_without_control_characters(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_template_of_a_page_sees_the_metadata_of_its_incident() -> None:
    facts = page_facts(incident(metadata={"host": "db-1"}), note="n", url=URL, link=LINK)
    seen = context(facts)
    assert seen["incident"]["metadata"] == {"host": "db-1"}
    assert (seen["incident"]["title"], seen["note"], seen["link"]) == ("Disk full", "n", LINK)


def test_a_template_of_a_status_update_sees_the_metadata_too() -> None:
    assert context(sample(MessageKind.RESOLVED, "email", url=URL))["incident"]["metadata"]["host"] == "db-1"


def test_a_template_of_a_bundle_sees_every_incident_and_their_names() -> None:
    seen = context(BundleFacts(tuple(page_facts(incident(n), note=None, url=URL, link=None) for n in (3, 4))))
    assert seen["named"] == ["#3 Disk full", "#4 Disk full"]
    assert [page["incident"]["id"] for page in seen["incidents"]] == [3, 4]
    assert "named" not in context(sample(MessageKind.PAGE, "email", url=URL))


TITLED = len("#7, ") + len(" Disk full")


@pytest.mark.parametrize(
    ("numbers", "room", "names"),
    [
        ([7], 1_000, ["#7 Disk full"]),
        ([7], TITLED, ["#7 Disk full"]),
        ([7], TITLED - 1, ["#7"]),
        ([7, 8], TITLED + 4, ["#7 Disk full", "#8"]),
        ([7, 8], 2 * TITLED, ["#7 Disk full", "#8 Disk full"]),
        ([7, 8], 2 * TITLED - 1, ["#7 Disk full", "#8"]),
        ([7, 8], 8, ["#7", "#8"]),
        ([7, 8], 7, ["#7-#8"]),
        ([9, 4, 3, 2, 7], 0, ["#2-#4", "#7", "#9"]),
        ([4, 6], 0, ["#4", "#6"]),
    ],
)
def test_a_bundle_names_every_incident_as_fully_as_there_is_room(
    numbers: list[int], room: int, names: list[str]
) -> None:
    assert named([incident(number) for number in numbers], room) == names


def test_a_title_among_others_is_one_short_line() -> None:
    assert named([incident(title="a\n" + "b" * 99)]) == ["#7 a " + "b" * (MAX_NAME - 2)]


def test_each_incident_of_a_bundle_has_its_line_and_its_link_below() -> None:
    pages = (
        page_facts(incident(3), note=None, url=URL, link=LINK),
        page_facts(incident(4, severity="high"), note=None, url=URL, link=None),
    )
    message = plain(BundleFacts(pages))
    assert message.body == f"[LOW] api: Disk full (#3)\n  {LINK}\n[HIGH] api: Disk full (#4)\n"
    assert message.subject.startswith("2 incidents: [LOW] api: Disk full (#3)")


def test_a_status_update_answers_its_page() -> None:
    update = sample(MessageKind.ACKNOWLEDGED, "email", url=URL)
    assert isinstance(update, StatusUpdateFacts)
    message, paged = plain(update), plain(sample(MessageKind.PAGE, "email", url=URL))
    assert message.subject == f"Re: {paged.subject}"
    paragraphs = message.body.rstrip("\n").split("\n\n")
    assert (paragraphs[0], paragraphs[1], paragraphs[-1]) == (update.said, update.incident.title, update.link)
    assert paragraphs[2].startswith("Severity: ")
    assert len(plain(replace(update, link=None)).body.rstrip("\n").split("\n\n")) == 3


def test_several_status_updates_have_a_line_each() -> None:
    updates = sample(MessageKind.STATUS_UPDATES, "email", url=URL)
    assert isinstance(updates, StatusUpdatesFacts)
    message = plain(updates)
    assert message.subject.startswith("2 ")
    assert message.body.splitlines() == [f"{headline(update.incident)}: {update.said}" for update in updates.updates]


def test_a_code_stands_in_the_subject_and_the_body_with_its_minutes() -> None:
    message = plain(VerificationFacts("123456", 15, "sms"))
    assert "123456" in message.subject
    assert "123456" in message.body
    assert "15 minutes" in message.body


def test_a_channels_test_names_the_channel_and_a_notice_says_its_text() -> None:
    assert " slack " in plain(ChannelTestFacts("slack")).body
    assert plain(NoticeFacts("It was switched off.")).body == "It was switched off.\n"


@pytest.mark.parametrize("event", MessageKind)
@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_sample_is_what_such_a_message_could_say(event: MessageKind, url: str) -> None:
    facts = sample(event, "slack", url=url, incident=incident(99))
    assert facts.event is event
    texts = [text for text in str(facts).split("'") if "://" in text]
    assert all(text == URL or text.startswith((f"{URL}/v1/incidents/99", f"{URL}/p/")) for text in texts)
    assert "None" not in str(replace(facts)).replace("description=None", "")
    assert not LOST.search(str(facts).replace("description=None", "").replace("metadata={}", ""))


def test_the_samples_of_a_channel_name_it() -> None:
    for event in (MessageKind.VERIFICATION, MessageKind.TEST):
        facts = sample(event, "slack", url=URL)
        assert isinstance(facts, VerificationFacts | ChannelTestFacts)
        assert facts.channel == "slack"


def test_the_sample_bundle_and_updates_are_of_the_sample_page() -> None:
    page_, bundle = sample(MessageKind.PAGE, "email", url=URL), sample(MessageKind.BUNDLE, "email", url=URL)
    assert isinstance(bundle, BundleFacts)
    assert bundle.incidents == (page_,)
    updates = sample(MessageKind.STATUS_UPDATES, "email", url=URL)
    assert isinstance(updates, StatusUpdatesFacts)
    kinds = (MessageKind.ACKNOWLEDGED, MessageKind.RESOLVED)
    assert updates.updates == tuple(sample(kind, "email", url=URL) for kind in kinds)


def test_a_title_that_does_not_fit_leaves_its_room_to_the_next() -> None:
    incidents = [incident(7, "Disk full"), incident(8, "ab")]
    assert named(incidents, len("#7, #8, ") + len(" ab")) == ["#7", "#8 ab"]
