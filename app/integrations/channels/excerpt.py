"""Cuts a text to a provider's limit, and says what was left out."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from app.core.channel import Envelope
from app.core.facts import BundleFacts

NAMED = re.compile(
    r"#([0-9]{1,18})(?:-#([0-9]{1,18}))?\b", re.ASCII
)  # a name as `message.named` writes it: #12, or #12-#34
# Never cut these: half a number is another incident, half a URL leads elsewhere.
UNDIVIDED = re.compile(r"#\w{1,19}(?:-#\w{1,19})?|https?://[!-~]{1,300}", re.ASCII)
MAX_UNDIVIDED = 320  # characters
MAX_WORD = 40  # characters; a longer word, or text without spaces such as Chinese, is cut anywhere
MARKS = " ,\n"


def excerpt(envelope: Envelope, text: str, fits: Callable[[str], bool]) -> str:
    """The text, or as much of it as fits with its ending: the number of incidents left out, or an ellipsis.

    If a text `fits`, so does any shorter one. If nothing fits, only the ending is left.
    """
    if not text or fits(text):
        return text
    pages = envelope.facts.incidents if isinstance(envelope.facts, BundleFacts) else ()
    ids = sorted(page.incident.id for page in pages)
    length, too_long = 0, len(text)
    while too_long - length > 1:
        middle = (length + too_long) // 2
        if fits(_cut(text, middle, ids)):
            length = middle
        else:
            too_long = middle
    return _cut(text, length, ids)


def _cut(text: str, length: int, ids: Sequence[int]) -> str:
    kept = text[: _boundary(text, length)].rstrip(MARKS)
    rest = _count_unnamed(ids, kept)
    ellipsis = " …" if text[len(kept)] in MARKS else "…"
    return (kept + (f" and {rest} more" if rest else ellipsis)).lstrip()


def _boundary(text: str, length: int) -> int:
    """Where to cut: after a whole word if one ends nearby, and never inside a name or a URL."""
    nearby = max(text.rfind(mark, max(length - MAX_WORD, 0), length) for mark in MARKS)
    end = length if nearby < 0 else nearby
    around = UNDIVIDED.finditer(text, max(end - MAX_UNDIVIDED, 0), end + MAX_UNDIVIDED)
    return next((part.start() for part in around if part.start() < end < part.end()), end)


def _count_unnamed(ids: Sequence[int], text: str) -> int:
    """How many of the sorted ids the text does not name, neither alone nor in a range."""
    named: set[int] = set()
    for run in NAMED.finditer(text):
        first, last = int(run[1]), int(run[2] or run[1])
        named.update(range(bisect_left(ids, first), bisect_right(ids, last)))
    return len(ids) - len(named)
