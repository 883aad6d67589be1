"""What every provider of SMS is handed: a number that can be dialled and a text that is not too long."""

import re

from app.core.channel import Envelope

MAX_TEXT = 1600  # Twilio's limit (error 21617), and what ten messages hold; the shipped templates stay far below
ORNAMENTS = re.compile(r"[ ()./-]")  # what PhoneNumber allows beside digits and a plus


def dialled(address: str) -> str:
    """A number without what only helps to read it: E.164, if it was given with its country's code."""
    return ORNAMENTS.sub("", address)


def text_of(envelope: Envelope) -> str:
    """The body. One that is too long loses its end, but never its link."""
    text = envelope.body.strip() or envelope.subject
    if len(text) <= MAX_TEXT:
        return text
    link = envelope.facts.get("link")
    ending = f" …\n{link}" if isinstance(link, str) and link else " …"
    kept = text[: MAX_TEXT - len(ending)]
    return kept.rpartition(" ")[0].rstrip() + ending if " " in kept else kept + ending
