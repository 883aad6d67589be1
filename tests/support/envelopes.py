"""Messages as a channel is handed them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.core.channel import Envelope
from app.core.facts import BundleFacts, IncidentFacts, PageFacts
from app.core.vocabulary import NotificationKind
from app.services.messages.message import plain

KEY = UUID("3f2b1a90-7c1d-41ef-9a53-0242ac120002")
LINK = "https://pager.example.com/p/7.1.1800000000.c2lnbmF0dXJl"


def page_facts(number: int = 7, **fields: Any) -> PageFacts:
    """The facts of a page about one incident."""
    incident: dict[str, Any] = {
        "id": number,
        "title": "Disk is full",
        "severity": "critical",
        "service": "database",
        "status": "open",
        "source": "api",
        "description": "No space left on /var.",
        "created_at": datetime(2026, 1, 20, 10, 30, tzinfo=UTC),
        **fields,
    }
    return PageFacts(
        incident=IncidentFacts(**incident),
        note="Look at it.",
        url=f"https://incidents.example/v1/incidents/{number}",
        link=f"https://incidents.example/pages/{number}-{'s' * 80}",
    )


def page(address: str, **fields: Any) -> Envelope:
    """A page about one incident."""
    facts = page_facts(**fields)
    message = plain(facts)
    return Envelope(address, message.subject, message.body, KEY, facts.incident.id, facts=facts)


def bundle(address: str, count: int, **fields: Any) -> Envelope:
    """A message about several incidents, numbered from 1."""
    facts = BundleFacts(tuple(page_facts(number, **fields) for number in range(1, count + 1)))
    message = plain(facts)
    return Envelope(address, message.subject, message.body, KEY, None, kind=NotificationKind.BUNDLE, facts=facts)


def notice(address: str, text: str) -> Envelope:
    """A message that is about no incident."""
    return Envelope(address, "About your notifications", text, KEY, None, kind=NotificationKind.NOTICE)
