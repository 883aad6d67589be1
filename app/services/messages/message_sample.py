"""Facts of messages that nobody was sent, to try templates on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.core.vocabulary import MessageKind
from app.services.messages.message import IncidentFacts, page_facts, without_metadata

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
LINK = "p/this-is-only-a-sample"  # acts for nobody
MINUTES = 15


def sample(event: MessageKind, channel: str, *, url: str, incident: IncidentFacts = INCIDENT) -> Mapping[str, Any]:
    """What a message of this kind could say. `url` is the public one."""
    base = url.rstrip("/")
    page = page_facts(incident, note="Call the database team.", url=base, link=f"{base}/{LINK}")
    facts: dict[MessageKind, dict[str, Any]] = {
        MessageKind.PAGE: page,
        MessageKind.BUNDLE: {"count": 1, "incidents": [{**page, "incident": without_metadata(page["incident"])}]},
        MessageKind.PASSWORD_RESET: {"token": "a-token-of-43-characters", "url": base, "minutes": MINUTES},
        MessageKind.VERIFICATION: {"code": "123456", "minutes": MINUTES},
        MessageKind.TEST: {"channel": channel},
        MessageKind.NOTICE: {"text": "Your slack channel was switched off: its address is gone."},
    }
    return facts[event]
