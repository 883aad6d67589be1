"""The text of a push message, and the target of a tap on it."""

from collections.abc import Callable

from app.core.channel import Envelope
from app.core.facts import StatusUpdateFacts
from app.integrations.channels.excerpt import excerpt

MAX_BODY = 2000  # characters


def body_of(envelope: Envelope, fits: Callable[[str], bool]) -> str:
    """The body, cut to what a phone shows and to what `fits` the provider's limit."""
    return excerpt(envelope, envelope.body.strip(), lambda text: len(text) <= MAX_BODY and fits(text))


def link_of(envelope: Envelope) -> str | None:
    """The signed link of the incident; for a bundle, that of the first."""
    if isinstance(envelope.facts, StatusUpdateFacts):
        return envelope.facts.link
    return next((page.link or None for page in envelope.pages), None)
