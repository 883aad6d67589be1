"""What every provider of SMS is handed: a number that can be dialled and a text that is not too long."""

import re
from collections.abc import Sequence

from app.core.channel import Envelope
from app.integrations.channels.push_text import link_of

MAX_TEXT = 1600  # Twilio's limit (error 21617), and what ten messages hold; the shipped templates stay far below
NAMED = re.compile(r"#([0-9]{1,18})(?:-#([0-9]{1,18}))?\b")  # as `message.named` writes it: #12, or #12-#34
ORNAMENTS = re.compile(r"[ ()./-]")  # what PhoneNumber allows beside digits and a plus


def dialled(address: str) -> str:
    """A number without what only helps to read it: E.164, if it was given with its country's code."""
    return ORNAMENTS.sub("", address)


def text_of(envelope: Envelope) -> str:
    """The body. One that is too long loses its end, but never its link, nor how many incidents it does not name."""
    text = envelope.body.strip() or envelope.subject
    if len(text) <= MAX_TEXT:
        return text
    ids = [page["incident"]["id"] for page in envelope.facts.get("incidents") or []]
    link = link_of(envelope)
    kept = _whole_words(text[: MAX_TEXT - len(_ending(len(ids), link))])
    rest = _count_unnamed(ids, kept)
    return (kept.rstrip(",") if rest else kept) + _ending(rest, link)


def _whole_words(text: str) -> str:
    """The text without its last word, of which nobody knows whether it is whole."""
    end = max(text.rfind(mark) for mark in " ,\n")
    return text[:end].rstrip() if end > 0 else text


def _ending(rest: int, link: str | None) -> str:
    said = f" and {rest} more" if rest else " …"
    return f"{said}\n{link}" if link else said


def _count_unnamed(ids: Sequence[int], text: str) -> int:
    """How many incidents the text names neither by their number nor in a range."""
    runs = [(int(run[1]), int(run[2] or run[1])) for run in NAMED.finditer(text)]
    return sum(not any(first <= id_ <= last for first, last in runs) for id_ in ids)
