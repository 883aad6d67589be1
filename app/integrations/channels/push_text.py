"""What a push message says and where a tap on it leads."""

from app.core.channel import Envelope

MAX_BODY = 2000  # characters


def body_of(envelope: Envelope) -> str:
    """The body, or its beginning: a telephone shows a few lines of it."""
    text = envelope.body.strip()
    return text if len(text) <= MAX_BODY else f"{text[: MAX_BODY - 1]}…"


def link_of(envelope: Envelope) -> str | None:
    """The signed page of the incident; of a bundle, that of the first."""
    pages = envelope.facts.get("incidents") or [envelope.facts]
    link = pages[0].get("link")
    return link if isinstance(link, str) and link else None
