"""Reads the body that a monitoring system posts, as leniently as possible: nobody is paged for what it drops."""

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import Any

from app.core.source import AlertSignal
from app.core.storable import cut, scrub
from app.services.incidents.alert import DESCRIPTION_LIMIT, UNKNOWN_SERVICE
from app.services.incidents.alert_metadata import metadata_from

UNREADABLE_KEY = "unreadable alert"
RAW_LIMIT = 32 * 1024  # characters of the raw text that are kept in the metadata
MAX_VALUES = 500_000  # each takes Python about 60 bytes

BETWEEN_DOCUMENTS = re.compile(r"[\s,\x00\ufeff\x1e]*")
DECODER = json.JSONDecoder(strict=False)  # accept a raw newline in a string rather than lose an alert


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The part of a body that could not be read, and the reason."""

    raw: str
    reason: str


@dataclass(slots=True)
class AlertBody:
    """The objects of a body in order, and the rest that could not be read."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    unreadable: Unreadable | None = None


def read(content: bytes) -> AlertBody:
    """The objects of a body: a single one, several in a row (with or without commas), or arrays of them."""
    text = text_of(content)
    body = AlertBody()
    if _count_of_values(text) > MAX_VALUES:
        body.unreadable = Unreadable(text, f"it holds more than {MAX_VALUES} values")
        return body
    position = _skip(text, 0)
    while body.unreadable is None and position < len(text):
        position = _read_document(text, position, body)
    if not body.objects and body.unreadable is None:
        reason = "it is an empty array" if text.strip() else "it is empty"
        body.unreadable = Unreadable(text, reason)
    return body


def unreadable_alert(source: str, unreadable: Unreadable) -> AlertSignal:
    """The alert for everything unreadable from a source. They all share one incident."""
    raw = unreadable.raw[:RAW_LIMIT]
    description = f"An alert could not be read: {unreadable.reason}. This was sent:\n\n{raw}"
    return AlertSignal(
        source=source,
        dedup_key=UNREADABLE_KEY,
        is_firing=True,
        title=f"Unreadable alert from {source}",
        description=cut(description, DESCRIPTION_LIMIT),
        severity=None,
        service=UNKNOWN_SERVICE,
        metadata=metadata_from({"reason": unreadable.reason, "raw": scrub(raw)}),
        unreadable_because=unreadable.reason,
    )


def _read_document(text: str, start: int, body: AlertBody) -> int:
    """Add the next document to the body. Returns the position after it."""
    try:
        document, end = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        body.unreadable = Unreadable(text[start:], _reason(error))
        return len(text)
    items = document if isinstance(document, list) else [document]
    body.objects += [item for item in items if isinstance(item, dict)]
    if not all(isinstance(item, dict) for item in items):
        is_array = isinstance(document, list)
        reason = "an item of the array is not a JSON object" if is_array else "it is not a JSON object"
        body.unreadable = Unreadable(text[start:], reason)
    return _skip(text, end)


def text_of(content: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark.

    Invalid bytes become lone surrogates, so that keys that differ only in them stay distinct.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="surrogateescape")


def _count_of_values(text: str) -> int:
    return sum(map(text.count, ",[{"))


def _skip(text: str, position: int) -> int:
    between = BETWEEN_DOCUMENTS.match(text, position)
    return between.end() if between else position


def _reason(error: ValueError | RecursionError) -> str:
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case json.JSONDecodeError():
            return f"{error.msg} in line {error.lineno}, column {error.colno}"
        case _:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
            return "a number has too many digits"
