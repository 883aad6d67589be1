"""Turns any value into one that the database can store."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 64
DEEP_TEXT_LIMIT = 1_000

# Python writes and reads no integer of more than 4,300 decimal digits (sys.set_int_max_str_digits), though
# PostgreSQL's numeric would take 131,072.
MAX_INTEGER_BITS = 14_000

UNSTORABLE = re.compile("[\\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def cut(text: str, limit: int) -> str:
    """The text, stripped and storable, at most `limit` characters. An ellipsis marks a cut."""
    stripped = text.strip()
    if len(stripped) > limit:
        stripped = stripped[: limit - 1].rstrip() + "…"
    return scrub(stripped)


def scrub(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD: PostgreSQL stores neither, in text or in JSONB."""
    return UNSTORABLE.sub(REPLACEMENT, text)


def storable(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value as JSONB can store it. What JSONB cannot store, or lies deeper than `depth`, becomes text."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict) and depth:
        return {scrub(str(key)): storable(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [storable(inner, depth - 1) for inner in value]
    return value if _is_plain(value) else cut(_written(value), DEEP_TEXT_LIMIT)


def _is_plain(value: Any) -> bool:
    if isinstance(value, int):
        return value.bit_length() <= MAX_INTEGER_BITS
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _written(value: Any) -> str:
    if isinstance(value, int):
        return hex(value)
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return "(not shown)"
