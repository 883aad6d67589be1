"""The facts of messages, and the JSON that workers of two versions exchange through the outbox."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.core.facts import (
    BundleFacts,
    ChannelTestFacts,
    Facts,
    IncidentFacts,
    NoticeFacts,
    PageFacts,
    PasswordResetFacts,
    VerificationFacts,
    read,
    stored,
)
from app.core.vocabulary import MessageKind, NotificationKind, Severity
from app.services.messages.message import context
from app.services.messages.message_sample import sample

INCIDENT = IncidentFacts(
    id=7,
    title="Disk full",
    severity=Severity.HIGH,
    service="api",
    status="open",
    source="elastic",
    description=None,
    created_at=datetime(2026, 1, 20, 10, 30, 0, 120_000, tzinfo=UTC),
)
PAGE = PageFacts(INCIDENT, "https://pager.example.com/v1/incidents/7", "Call.", "https://pager.example.com/p/7")
# What earlier versions wrote and read. Only add to it: during an upgrade, old and new workers share the outbox.
KEPT_PAGE: dict[str, Any] = {
    "incident": {
        "id": 7,
        "title": "Disk full",
        "severity": "high",
        "service": "api",
        "status": "open",
        "source": "elastic",
        "description": None,
        "created_at": "2026-01-20T10:30:00.120000+00:00",
    },
    "note": "Call.",
    "url": "https://pager.example.com/v1/incidents/7",
    "link": "https://pager.example.com/p/7",
}
SHAPES: list[tuple[NotificationKind, Facts, dict[str, Any]]] = [
    (NotificationKind.PAGE, PAGE, KEPT_PAGE),
    (NotificationKind.MANUAL_PAGE, PAGE, KEPT_PAGE),
    (NotificationKind.BUNDLE, BundleFacts((PAGE, PAGE)), {"count": 2, "incidents": [KEPT_PAGE, KEPT_PAGE]}),
    (
        NotificationKind.PASSWORD_RESET,
        PasswordResetFacts("t0k3n", "https://pager.example.com", 30),
        {"token": "t0k3n", "url": "https://pager.example.com", "minutes": 30},
    ),
    (
        NotificationKind.VERIFICATION,
        VerificationFacts("123456", 15, "sms"),
        {"code": "123456", "minutes": 15, "channel": "sms"},
    ),
    (NotificationKind.TEST, ChannelTestFacts("push"), {"channel": "push"}),
    (NotificationKind.NOTICE, NoticeFacts("It is off."), {"text": "It is off."}),
]
MALFORMED: list[dict[str, Any]] = [
    {},
    {"incident": "seven"},
    {"incident": {"id": 7}},
    {"incidents": []},
    {"incidents": [KEPT_PAGE, {}]},
    {"incidents": {"0": KEPT_PAGE}},
    {"token": None},
    {**KEPT_PAGE, "incident": {**KEPT_PAGE["incident"], "created_at": "yesterday"}},
]


@pytest.mark.parametrize(("kind", "facts", "kept"), SHAPES)
def test_an_older_version_can_send_what_this_one_stores(
    kind: NotificationKind, facts: Facts, kept: dict[str, Any]
) -> None:
    assert stored(facts) == kept


@pytest.mark.parametrize(("kind", "facts", "kept"), SHAPES)
def test_this_version_can_send_what_an_older_one_stored(
    kind: NotificationKind, facts: Facts, kept: dict[str, Any]
) -> None:
    assert read(kind, kept) == facts


@pytest.mark.parametrize(("kind", "facts", "kept"), SHAPES)
def test_facts_that_only_a_newer_version_knows_are_passed_over(
    kind: NotificationKind, facts: Facts, kept: dict[str, Any]
) -> None:
    assert read(kind, {**kept, "colour": "red"}) == facts


def test_a_page_without_a_note_or_a_link_can_be_read() -> None:
    short = {name: KEPT_PAGE[name] for name in ("incident", "url")}
    assert read(NotificationKind.PAGE, short) == PageFacts(INCIDENT, PAGE.url)


@pytest.mark.parametrize("kind", [kind for kind in NotificationKind if kind is not NotificationKind.TEST])
@pytest.mark.parametrize("kept", MALFORMED)
def test_malformed_facts_read_as_none(kind: NotificationKind, kept: dict[str, Any]) -> None:
    assert read(kind, kept) is None


def test_a_webhook_action_has_no_facts() -> None:
    assert read(NotificationKind.WEBHOOK_ACTION, KEPT_PAGE) is None


def test_the_outbox_keeps_no_metadata() -> None:
    facts = sample(MessageKind.PAGE, "email", url="https://pager.example.com")
    assert "metadata" not in stored(facts)["incident"]
    assert context(facts)["incident"]["metadata"]["host"] == "db-1"


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (MessageKind.PAGE, {"incident", "note", "url", "link"}),
        (MessageKind.BUNDLE, {"count", "named", "incidents"}),
        (MessageKind.PASSWORD_RESET, {"token", "url", "minutes"}),
        (MessageKind.VERIFICATION, {"code", "minutes", "channel"}),
        (MessageKind.TEST, {"channel"}),
        (MessageKind.NOTICE, {"text"}),
    ],
)
def test_a_template_sees_the_documented_names(event: MessageKind, names: set[str]) -> None:
    seen = context(sample(event, "email", url="https://pager.example.com"))
    assert set(seen) == names


def test_a_template_sees_metadata_in_a_page_but_not_in_a_bundle() -> None:
    page, bundle = (
        context(sample(event, "email", url="https://pager.example.com"))
        for event in (MessageKind.PAGE, MessageKind.BUNDLE)
    )
    assert set(page["incident"]) == {*KEPT_PAGE["incident"], "metadata"}
    assert [set(one["incident"]) for one in bundle["incidents"]] == [set(KEPT_PAGE["incident"])]
