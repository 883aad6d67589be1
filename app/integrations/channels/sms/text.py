"""Prepares an SMS for any provider: a number that can be dialled, and a text within the limit."""

import re

from app.core.channel import Envelope
from app.core.config import get_settings
from app.core.phone import e164
from app.integrations.channels.excerpt import excerpt
from app.integrations.channels.push.text import link_of

MAX_TEXT = 1600  # Twilio's limit (error 21617), about ten messages; the shipped templates stay far below
ORNAMENTS = re.compile(r"[ ()./-]")  # what PhoneNumber allows besides digits and a plus


def dialled(address: str) -> str:
    """The number as E.164, even if stored as its owner wrote it. Anything else only loses its punctuation."""
    try:
        return e164(address, get_settings().phone_default_region)
    except ValueError:
        return ORNAMENTS.sub("", address)


def text_of(envelope: Envelope) -> str:
    """The body. If it is too long, its end is cut, but never the link or the number of incidents left out."""
    text = envelope.body.strip() or envelope.subject
    if len(text) <= MAX_TEXT:
        return text
    link = link_of(envelope)
    ending = f"\n{link}" if link else ""
    return excerpt(envelope, text, lambda kept: len(kept) + len(ending) <= MAX_TEXT) + ending
