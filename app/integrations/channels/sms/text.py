"""What every provider of SMS is handed: a number that can be dialled and a text that is not too long."""

import re

from app.core.channel import Envelope
from app.core.config import get_settings
from app.core.phone import e164
from app.integrations.channels.excerpt import excerpt
from app.integrations.channels.push.text import link_of

MAX_TEXT = 1600  # Twilio's limit (error 21617), and what ten messages hold; the shipped templates stay far below
ORNAMENTS = re.compile(r"[ ()./-]")  # what PhoneNumber allows beside digits and a plus


def dialled(address: str) -> str:
    """A number as E.164, also one that was stored as its owner wrote it; what is none loses only its ornaments."""
    try:
        return e164(address, get_settings().phone_default_region)
    except ValueError:
        return ORNAMENTS.sub("", address)


def text_of(envelope: Envelope) -> str:
    """The body. One that is too long loses its end, but never its link, nor how many incidents it does not name."""
    text = envelope.body.strip() or envelope.subject
    if len(text) <= MAX_TEXT:
        return text
    link = link_of(envelope)
    ending = f"\n{link}" if link else ""
    return excerpt(envelope, text, lambda kept: len(kept) + len(ending) <= MAX_TEXT) + ending
