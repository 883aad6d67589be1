"""The filters and tests of message templates. Whatever they are given, each takes and makes at most `MAX_VALUE`."""

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined
from markupsafe import Markup, escape

MAX_VALUE = 4000  # characters of one value; what is longer is cut
MAX_PARTS = 400  # values of a list or an object that is shown as JSON
MAX_ITEMS = 1000  # of a loop; a longer one is refused, because what it left out would be missed
MAX_DIGITS = 12
CUT = "…"


class TemplateError(ValueError):
    """What is wrong with a template, in a sentence with the line."""


class Missing(ChainableUndefined):
    """What a fact that is not there, or null, reads as: nothing, less than nothing, equal to null."""

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Missing)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)

    def _false(self, _other: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _false  # type: ignore[assignment]  # Jinja's own ones raise


def cut(text: str) -> str:
    """A text of at most `MAX_VALUE` characters."""
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + CUT


def text_of(value: Any) -> str:
    """A value as a template shows it. Raises TemplateError for what is no fact, such as `loop`."""
    if isinstance(value, str):
        return cut(value)
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, int | float):
        return cut(str(value))
    return to_json(value)


def to_json(value: Any) -> str:
    """JSON, of large things only the beginning."""
    return cut(json.dumps(_beginning(value, [MAX_PARTS]), ensure_ascii=False, default=_refuse))


def _beginning(value: Any, room: list[int]) -> Any:
    """As much of a value as there is room for: `room` counts down, in one list for all levels."""
    room[0] -= 1
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, Mapping):
        pairs = islice(value.items(), max(room[0], 0))
        return {cut(str(key)): _beginning(item, room) for key, item in pairs if room[0] > 0}
    if isinstance(value, list | tuple):
        return [_beginning(item, room) for item in islice(value, max(room[0], 0)) if room[0] > 0]
    return None if isinstance(value, Missing) else value


def _refuse(value: Any) -> Any:
    raise TemplateError(f"{type(value).__name__} is nothing that can be shown")


def list_of(value: Any) -> list[Any]:
    """What a loop goes through: a list's items, an object's names; of any other value that one, of nothing nothing.

    It is cut behind the first that is too many.
    """
    if isinstance(value, list | tuple | Mapping):
        return list(islice(value, MAX_ITEMS + 1))
    return [] if value is None or isinstance(value, Missing) else [value]


def operand(value: Any) -> Any:
    """What is compared: a text or a number, or a list's plain items. Raises TemplateError for an object."""
    if isinstance(value, Mapping):
        raise TemplateError("an object cannot be compared: compare one of its values")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:MAX_PARTS]]
    return _plain(value)


def _plain(value: Any) -> Any:
    return cut(value) if isinstance(value, str) else None if isinstance(value, Mapping | list | tuple) else value


def concat(values: list[Any]) -> str:
    """The values one after the other."""
    return join(values)


def join(value: Any, separator: Any = "") -> str:
    """A list as one text."""
    made, between = "", text_of(separator)
    for index, item in enumerate(list_of(value)):
        made += (between if index else "") + text_of(item)
        if len(made) > MAX_VALUE:
            break
    return cut(made)


def _default(value: Any, fallback: Any = "", even_if_empty: Any = False) -> Any:
    is_missing = value is None or isinstance(value, Missing)
    return fallback if is_missing or (even_if_empty and not value) else value


def _truncate(value: Any, length: Any = 255, killwords: Any = False, end: Any = CUT) -> str:
    """At most `length` characters and the end mark, cut between words unless told otherwise."""
    text = text_of(value)
    if len(text) <= int(length):
        return text
    kept = text[: max(int(length) - len(text_of(end)), 0)]
    return (kept if killwords else kept.rpartition(" ")[0] or kept) + text_of(end)


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
        return round(number, min(int(digits), MAX_DIGITS)) if digits else round(number)
    except (ValueError, OverflowError):
        return value


def _of_text(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: cut(change(text_of(value)))


FILTERS: dict[str, Callable[..., Any]] = {
    "capitalize": _of_text(str.capitalize),
    "default": _default,
    "e": _of_text(lambda text: str(escape(text))),
    "escape": _of_text(lambda text: str(escape(text))),
    "first": _first,
    "int": _int,
    "items": _items,
    "join": join,
    "last": _last,
    "length": _length,
    "lower": _of_text(str.lower),
    "round": _round,
    "string": text_of,
    "striptags": _of_text(lambda text: str(Markup(text).striptags())),  # noqa: S704 - tags are what it takes away
    "title": _of_text(str.title),
    "tojson": to_json,
    "trim": _of_text(str.strip),
    "truncate": _truncate,
    "upper": _of_text(str.upper),
    "urlencode": _of_text(lambda text: quote(text, safe="", errors="replace")),
}
HTML_FILTERS = FILTERS | {"e": text_of, "escape": text_of}  # everything is escaped on its way out

TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not None and not isinstance(value, Missing),
    "undefined": lambda value: value is None or isinstance(value, Missing),
    "none": lambda value: value is None or isinstance(value, Missing),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "sequence": lambda value: isinstance(value, list | tuple),
    "mapping": lambda value: isinstance(value, Mapping),
}
