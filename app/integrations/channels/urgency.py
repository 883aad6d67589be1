"""The urgency of a message, for channels that support it."""

from app.core.channel import Envelope
from app.core.vocabulary import Severity


def severity_of(envelope: Envelope) -> Severity | None:
    """The most urgent severity of the incidents in a page or bundle. None for any other message."""
    named = {page.incident.severity for page in envelope.pages}
    return next((severity for severity in Severity if severity in named), None)
