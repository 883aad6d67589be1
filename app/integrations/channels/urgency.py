"""How urgent a message is, for channels that can say so."""

from collections.abc import Mapping
from typing import Any

from app.core.channel import Envelope
from app.core.vocabulary import Severity


def severity_of(envelope: Envelope) -> Severity | None:
    """The most urgent severity of the incidents that a page or a bundle names; None for any other message."""
    pages = envelope.facts.get("incidents") or [envelope.facts]
    named = [_severity(page) for page in pages if isinstance(page, Mapping)]
    return next((severity for severity in Severity if severity in named), None)


def _severity(facts: Mapping[str, Any]) -> object:
    incident = facts.get("incident")
    return incident.get("severity") if isinstance(incident, Mapping) else None
