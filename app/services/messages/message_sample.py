"""Sample facts, to try templates on."""

from datetime import UTC, datetime

from app.core.facts import (
    BundleFacts,
    ChannelTestFacts,
    Facts,
    IncidentFacts,
    NoticeFacts,
    PasswordResetFacts,
    StatusUpdateFacts,
    StatusUpdatesFacts,
    VerificationFacts,
)
from app.core.vocabulary import MessageKind, UpdateEvent
from app.services.messages.message import page_facts

INCIDENT = IncidentFacts(
    id=42,
    title="Database connection failed",
    severity="high",
    service="database",
    status="open",
    source="elastic",
    description="No connection for 5 minutes: 97 of 97 attempts failed.",
    created_at=datetime(2026, 1, 20, 10, 30, tzinfo=UTC),
    metadata={"host": "db-1", "rule": {"name": "connections"}, "tags": ["prod", "eu"], "value": 97},
)
LINK = "p/this-is-only-a-sample"  # a link that does nothing
MINUTES = 15


def sample(event: MessageKind, channel: str, *, url: str, incident: IncidentFacts = INCIDENT) -> Facts:
    """Sample facts for a kind of message. `url` is the public one of the service."""
    base = url.rstrip("/")
    page = page_facts(incident, note="Call the database team.", url=base, link=f"{base}/{LINK}")
    taken, over = (
        StatusUpdateFacts(update, page.incident, 1, f"Ada Lovelace {update} it.", page.url, page.link)
        for update in UpdateEvent
    )
    samples: dict[MessageKind, Facts] = {
        MessageKind.PAGE: page,
        MessageKind.BUNDLE: BundleFacts((page,)),
        MessageKind.PASSWORD_RESET: PasswordResetFacts("a-token-of-43-characters", base, MINUTES),
        MessageKind.VERIFICATION: VerificationFacts("123456", MINUTES, channel),
        MessageKind.TEST: ChannelTestFacts(channel),
        MessageKind.ACKNOWLEDGED: taken,
        MessageKind.RESOLVED: over,
        MessageKind.STATUS_UPDATES: StatusUpdatesFacts((taken, over)),
        MessageKind.NOTICE: NoticeFacts("Your slack channel was switched off: its address no longer exists."),
    }
    return samples[event]
