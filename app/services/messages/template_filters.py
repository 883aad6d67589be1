"""The filters and tests of message templates.

Each takes and returns at most `MAX_VALUE` characters, or `MAX_ENCODED` if they are encoded.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from app.services.messages.template_values import (
    CUT,
    MAX_ENCODED,
    MAX_ITEMS,
    MAX_VALUE,
    Encoded,
    Missing,
    TemplateError,
    cut,
    encoded,
    list_of,
    text_of,
    to_json,
)

MAX_DIGITS = 12


def concat(values: list[Any]) -> str:
    """The values, joined without a separator."""
    return join(values)


def join(value: Any, separator: Any = "") -> str:
    """Join a list to one text. Too long a text is cut; with an encoded text in it, it raises TemplateError."""
    made, between, is_encoded = "", _mark(separator), False
    for index, item in enumerate(list_of(value)):
        text = text_of(item)
        is_encoded = is_encoded or isinstance(text, Encoded)
        made += (between if index else "") + text
        if len(made) > (MAX_ENCODED if is_encoded else MAX_VALUE):
            break
    return encoded(made) if is_encoded else cut(made)


def _mark(value: Any) -> str:
    """The text to put between texts, or at the end of one that was cut."""
    if isinstance(value, list | tuple | Mapping):
        raise TemplateError("a list or an object cannot be a separator or an end mark: use text")
    return text_of(value)


def _whole(value: Any) -> int:
    return int(cut(value) if isinstance(value, str) else value)


def _default(value: Any, fallback: Any = "", even_if_empty: Any = False) -> Any:
    is_missing = value is None or isinstance(value, Missing)
    return fallback if is_missing or (even_if_empty and not value) else value


def _truncate(value: Any, length: Any = 255, killwords: Any = False, end: Any = CUT) -> str:
    """At most `length` characters plus the end mark. By default it is cut between words."""
    text, room, mark = text_of(value), _whole(length), _mark(end)
    if len(text) <= room:
        return text
    kept = text[: max(room - len(mark), 0)]
    return (kept if killwords else kept.rpartition(" ")[0] or kept) + mark


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, str | list | tuple) and value else None


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, str | list | tuple) and value else None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | Mapping) else len(list_of(value))


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(islice(value.items(), MAX_ITEMS + 1)) if isinstance(value, Mapping) else []


def _int(value: Any, default: Any = 0) -> Any:
    try:
        return int(float(text_of(value))) if not isinstance(value, int) else int(value)
    except (ValueError, OverflowError):
        return default


def _round(value: Any, digits: Any = 0) -> Any:
    try:
        number = value if isinstance(value, int | float) else float(text_of(value))
        return round(number, max(-MAX_DIGITS, min(_whole(digits), MAX_DIGITS))) if digits else round(number)
    except (ValueError, OverflowError):
        return value


def _changeable(value: Any) -> str:
    text = text_of(value)
    if len(text) > MAX_VALUE:
        raise TemplateError(
            f"an encoded text of more than {MAX_VALUE} characters cannot be changed: change it before it is encoded"
        )
    return text


def _changed(change: Callable[[str], str], value: Any) -> str:
    return cut(change(_changeable(value)))


def _urlencode(value: Any) -> str:
    return encoded(quote(_changeable(value), safe="", errors="replace"))


FILTERS: dict[str, Callable[..., Any]] = {
    "capitalize": partial(_changed, str.capitalize),
    "default": _default,
    "e": partial(_changed, lambda text: str(escape(text))),
    "escape": partial(_changed, lambda text: str(escape(text))),
    "first": _first,
    "int": _int,
    "items": _items,
    "join": join,
    "last": _last,
    "length": _length,
    "lower": partial(_changed, str.lower),
    "round": _round,
    "string": text_of,
    "striptags": partial(_changed, lambda text: str(Markup(text).striptags())),  # noqa: S704 - it removes the tags
    "title": partial(_changed, str.title),
    "tojson": to_json,
    "trim": partial(_changed, str.strip),
    "truncate": _truncate,
    "upper": partial(_changed, str.upper),
    "urlencode": _urlencode,
}
TAKE_ANY = frozenset({"default", "first", "items", "join", "last", "length", "tojson"})  # the other filters take text
HTML_FILTERS = FILTERS | {"e": text_of, "escape": text_of}  # all output is escaped later

TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not None and not isinstance(value, Missing),
    "undefined": lambda value: value is None or isinstance(value, Missing),
    "none": lambda value: value is None or isinstance(value, Missing),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "sequence": lambda value: isinstance(value, list | tuple),
    "mapping": lambda value: isinstance(value, Mapping),
}
