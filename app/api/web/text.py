"""Turns text and times into HTML: escapes everything, and makes links of web addresses."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from markupsafe import Markup, escape

ADDRESS = re.compile(r"\bhttps?://[^\s<>\"'`\\^{|}\x00-\x20]+", re.IGNORECASE)
PUNCTUATION = ".,;:!?*_~'\"…"
BRACKETS = {")": "(", "]": "["}
LINK = Markup('<a href="{0}" target="_blank" rel="noopener noreferrer nofollow">{0}</a>')
TIME = Markup('<time datetime="{iso}">{words}</time>')


def linked(text: str) -> Markup:
    """The text with its http and https addresses as links. Punctuation after an address is not part of it."""
    parts: list[Markup] = []
    end = 0
    for found in ADDRESS.finditer(text):
        address = _trimmed(found[0])
        if not _has_host(address):
            continue
        parts += [escape(text[end : found.start()]), LINK.format(address)]
        end = found.start() + len(address)
    return Markup("").join([*parts, escape(text[end:])])


def in_words(at: datetime) -> Markup:
    """A time in UTC, which the page's script shows in the phone's time zone."""
    utc = at.astimezone(UTC)
    return TIME.format(iso=utc.isoformat(timespec="seconds"), words=f"{utc.day} {utc:%b %Y, %H:%M} UTC")


def _trimmed(address: str) -> str:
    """The address without trailing punctuation and without a closing bracket that it does not open."""
    while True:
        last = address[-1]
        if last in PUNCTUATION or (last in BRACKETS and address.count(last) > address.count(BRACKETS[last])):
            address = address[:-1]
        else:
            return address


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False
