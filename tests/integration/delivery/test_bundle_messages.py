"""What a message about several incidents says: all of them, at any length."""

from dataclasses import replace

import pytest

from app.core.channel import Envelope
from app.core.facts import BundleFacts
from app.integrations.channels.sms.text import text_of as sms_text
from app.services.messages import message_service
from app.services.messages.message import MAX_NAMED, named, page_facts
from app.services.messages.message_sample import INCIDENT
from tests.support.envelopes import KEY

URL = "https://pager.example.com"
LINK = f"{URL}/p/7.1.1800000000.c2lnbmF0dXJl"
XSS = '<script>alert("x")</script>'


def bundle(count: int, *, gap: int = 1, title: str = "Disk full") -> BundleFacts:
    incidents = (replace(INCIDENT, id=1000 + number * gap, title=f"{title} {number}") for number in range(count))
    return BundleFacts(tuple(page_facts(incident, note=None, url=URL, link=LINK) for incident in incidents))


@pytest.mark.parametrize("channel", ["email", "webhook"])
@pytest.mark.parametrize("count", [2, 60, 700, 1500])
def test_a_bundle_names_every_incident(channel: str, count: int) -> None:
    facts = bundle(count, title=XSS)
    message = message_service.default(channel, facts)
    for part in (message.body, message.html) if message.html else (message.body,):
        assert all(f"#{page.incident.id}" in part for page in facts.incidents)
    assert message.subject.startswith(f"{count} incidents: [HIGH] database:")
    assert "<script" not in (message.html or "")


def test_a_small_bundle_is_html_with_a_button_for_each() -> None:
    html = message_service.default("email", bundle(3)).html
    assert html is not None
    assert html.count("View and acknowledge</a>") == 3


@pytest.mark.parametrize(("count", "gap"), [(2, 1), (100, 1), (100, 2), (5000, 1)])
def test_a_bundle_by_sms_is_short_and_names_every_incident(count: int, gap: int) -> None:
    facts = bundle(count, gap=gap)
    body = message_service.default("sms", facts).body
    assert len(body) < 1600
    assert LINK in body
    assert named_ids(body.split(":", 1)[1].splitlines()[0]) == {page.incident.id for page in facts.incidents}


def test_a_bundle_too_long_for_an_sms_counts_what_it_does_not_name() -> None:
    facts = bundle(250, gap=2)
    message = message_service.default("sms", facts)
    sent = sms_text(Envelope("+15550100", message.subject, message.body, KEY, None, facts=facts))
    said, link = sent.splitlines()
    names, _, rest = said.split(":", 1)[1].rpartition(" and ")
    assert rest == f"{250 - len(named_ids(names))} more"
    assert (len(sent) <= 1600, link) == (True, LINK)


def named_ids(said: str) -> set[int]:
    ids: set[int] = set()
    for name in said.split(","):
        words = name.split()[0].replace("#", "").split("-")
        ids |= set(range(int(words[0]), int(words[-1]) + 1))
    return ids


def test_a_bundle_gives_titles_as_long_as_there_is_room() -> None:
    incidents = [page.incident for page in bundle(3).incidents]
    assert named(incidents) == ["#1000 Disk full 0", "#1001 Disk full 1", "#1002 Disk full 2"]
    assert named(incidents, room=35) == ["#1000 Disk full 0", "#1001", "#1002"]
    assert named(incidents, room=20) == ["#1000-#1002"]
    assert sum(map(len, named([page.incident for page in bundle(100, gap=2).incidents]))) <= MAX_NAMED
