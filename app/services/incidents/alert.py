"""Turns the values of a monitoring system's alert into values that the database can store."""

import hashlib
import re
from itertools import pairwise

from app.core.storable import cut, scrub

TITLE_LIMIT = 255
SERVICE_LIMIT = 100
DEDUP_KEY_LIMIT = 255
DESCRIPTION_LIMIT = 10_000
UNKNOWN_SERVICE = "unknown"

WORD_LIMIT = 64

WORDS = re.compile(r"[^\W_]+")

RECOVERED = frozenset({"recovered", "resolved", "ok"})
SEVERITY_WORDS = {
    "critical": "critical crit fatal emergency emerg disaster blocker urgent p0 p1 sev0 sev1 severity1 "
    "priority0 priority1",
    "high": "high major severe error err p2 sev2 severity2 priority2",
    "medium": "medium med moderate minor warning warn p3 sev3 severity3 priority3",
    "low": "low info information informational notice debug trivial p4 p5 sev4 sev5 severity4 severity5 "
    "priority4 priority5",
}
SEVERITIES = {word: severity for severity, words in SEVERITY_WORDS.items() for word in words.split()}
NEGATIONS = frozenset({"not", "non", "no", "never"})


def is_recovered(text: str) -> bool:
    """True for any spelling of recovered, resolved or ok. Any other group or status means that the alert fires."""
    return _squashed(text) in RECOVERED


def severity_from(text: str) -> str | None:
    """Our severity for a vendor's word; None for an unknown one.

    Minor counts as medium: Elastic's anomaly detection ranks it above warning. Bare numbers are unknown,
    because vendors count in both directions.
    """
    return SEVERITIES.get(_squashed(text))


def severity_within(text: str) -> str | None:
    """Our severity for a text that contains a vendor's word: `critical (P1)`, `Critical - page`, `Sev 2`.

    The first such word counts, unless it is negated, as in `non-critical`. Use it only for fields that hold a
    severity: in running text these words mean other things.
    """
    whole = severity_from(text)
    if whole is not None or len(text) > WORD_LIMIT:
        return whole
    before = ""
    for word, following in pairwise([*WORDS.findall(text.casefold()), ""]):
        found = SEVERITIES.get(word) or SEVERITIES.get(word + following)
        if found is not None and before not in NEGATIONS:
            return found
        before = word
    return None


def dedup_key_from(text: str) -> str:
    """The key itself. A key that is too long or cannot be stored gets a hash at its end, so that keys stay distinct."""
    readable = scrub(text)
    if readable == text and len(text) <= DEDUP_KEY_LIMIT:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{readable[: DEDUP_KEY_LIMIT - len(digest) - 1]}:{digest}"


def cut_line(text: str, limit: int) -> str:
    """As `cut`, but on one line: for titles and names, which are used in subjects and headers."""
    return cut(" ".join(text.split()), limit)


def _squashed(text: str) -> str:
    """The letters and digits only; empty for a text that is too long to be a word."""
    if len(text) > WORD_LIMIT:
        return ""
    return "".join(character for character in text.casefold() if character.isalnum())
