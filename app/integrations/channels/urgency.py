"""How urgent a message is, for channels that can say so."""

from app.core.channel import Envelope
from app.core.vocabulary import Severity


def severity_of(envelope: Envelope) -> Severity | None:
    """The most urgent severity of the incidents that a page or a bundle names; None for any other message."""
    named = {page.incident.severity for page in envelope.pages}
    return next((severity for severity in Severity if severity in named), None)
