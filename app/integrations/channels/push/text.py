"""What a push message says and where a tap on it leads."""

from collections.abc import Callable

from app.core.channel import Envelope
from app.core.facts import StatusUpdateFacts
from app.integrations.channels.excerpt import excerpt

MAX_BODY = 2000  # characters


def body_of(envelope: Envelope, fits: Callable[[str], bool]) -> str:
    """The body, or its beginning: a telephone shows a few lines of it. `fits` tells what the provider takes."""
    return excerpt(envelope, envelope.body.strip(), lambda text: len(text) <= MAX_BODY and fits(text))


def link_of(envelope: Envelope) -> str | None:
    """The signed page of the incident; of a bundle, that of the first."""
    if isinstance(envelope.facts, StatusUpdateFacts):
        return envelope.facts.link
    return next((page.link or None for page in envelope.pages), None)
