"""What the plain messages say."""

from datetime import UTC, datetime

import pytest

from app.core.facts import IncidentFacts, PasswordResetFacts
from app.core.vocabulary import MessageKind
from app.services.messages.message import MAX_SUBJECT, Message, page_facts, plain
from app.services.messages.message_sample import sample

LINK = "https://pager.example.com/p/7.1.99.abc"


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
