"""The filters and tests of message templates. Whatever they are given, each takes and makes at most `MAX_VALUE`.

What is encoded may be longer, `MAX_ENCODED`: it was cut before it was encoded, and never is after that.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any
from urllib.parse import quote

from jinja2 import ChainableUndefined
from markupsafe import Markup, escape

MAX_VALUE = 4000  # characters of one value; what is longer is cut
MAX_ENCODED = 12 * MAX_VALUE  # a character is four bytes at most, and a byte three characters
MAX_PARTS = 400  # values of a list or an object that is shown as JSON
MAX_ITEMS = 1000  # of a loop; a longer one is refused, because what it left out would be missed
MAX_DIGITS = 12
CUT = "…"


class TemplateError(ValueError):
    """What is wrong with a template, in a sentence with the line."""


class Encoded(str):
    """A text that is encoded for where it stands: one that lost its end would be broken, or say less in secret."""

    __slots__ = ()


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
        return value if isinstance(value, Encoded) else cut(value)
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, int | float):
        return cut(str(value))
    return to_json(value)


def encoded(text: str) -> Encoded:
    """An encoded text as it is. Raises TemplateError for one that is too long: it cannot be cut."""
    if len(text) > MAX_ENCODED:
        raise TemplateError(f"an encoded text has more than {MAX_ENCODED} characters")
    return Encoded(text)


def to_json(value: Any) -> str:
    """JSON, of large lists and objects only the beginning."""
    if isinstance(value, str):
        return encoded(json.dumps(text_of(value), ensure_ascii=False))
    return cut(json.dumps(_beginning(value, _Room()), ensure_ascii=False, default=_refuse))


@dataclass(slots=True)
class _Room:
    """What is left for the beginning of a value: one for all its levels."""

    parts: int = MAX_PARTS
    characters: int = MAX_VALUE

    def take(self, text: str) -> str:
        kept = cut(text)
        self.characters -= len(kept)
        return kept

    def fitting(self, items: Iterable[Any]) -> Iterator[Any]:
        return takewhile(lambda _: self.parts > 0 and self.characters > 0, items)


def _beginning(value: Any, room: _Room) -> Any:
    """As much of a value as there is room for."""
    room.parts -= 1
    if isinstance(value, str):
        return room.take(value)
    if isinstance(value, Mapping):
        return {room.take(str(key)): _beginning(item, room) for key, item in room.fitting(value.items())}
    if isinstance(value, list | tuple):
        return [_beginning(item, room) for item in room.fitting(value)]
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
    """A list as one text: cut if it is too long, but with an encoded text in it refused. Raises TemplateError."""
    made, between, is_encoded = "", _mark(separator), False
    for index, item in enumerate(list_of(value)):
        text = text_of(item)
        is_encoded = is_encoded or isinstance(text, Encoded)
        made += (between if index else "") + text
        if len(made) > (MAX_ENCODED if is_encoded else MAX_VALUE):
            break
    return encoded(made) if is_encoded else cut(made)


def _mark(value: Any) -> str:
    """What stands between texts, or at the end of one that was cut."""
    if isinstance(value, list | tuple | Mapping):
        raise TemplateError("a list or an object cannot stand between texts or at their end")
    return text_of(value)


def _whole(value: Any) -> int:
    return int(cut(value) if isinstance(value, str) else value)


def _default(value: Any, fallback: Any = "", even_if_empty: Any = False) -> Any:
    is_missing = value is None or isinstance(value, Missing)
    return fallback if is_missing or (even_if_empty and not value) else value


def _truncate(value: Any, length: Any = 255, killwords: Any = False, end: Any = CUT) -> str:
    """At most `length` characters and the end mark, cut between words unless told otherwise."""
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
        raise TemplateError(f"an encoded text of more than {MAX_VALUE} characters cannot be changed any more")
    return text


def _of_text(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: cut(change(_changeable(value)))


def _urlencode(value: Any) -> str:
    return encoded(quote(_changeable(value), safe="", errors="replace"))


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
    "urlencode": _urlencode,
}
TAKE_ANY = frozenset({"default", "first", "items", "join", "last", "length", "tojson"})  # the others take a text
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
