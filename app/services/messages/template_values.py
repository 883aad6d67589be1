"""How values in message templates are shown, compared and looped over, within `MAX_VALUE` characters.

An encoded value may be longer, up to `MAX_ENCODED`: it is cut before it is encoded, never after.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from jinja2 import ChainableUndefined

MAX_VALUE = 4000  # characters of one value; a longer one is cut
MAX_ENCODED = 12 * MAX_VALUE  # a character has up to four bytes, and a byte encodes to up to three characters
MAX_PARTS = 400  # values of a list or an object that is shown as JSON
MAX_ITEMS = 1000  # of a loop; a longer one is refused, because cutting it would hide items
CUT = "…"


class TemplateError(ValueError):
    """A template is wrong. The message is a sentence that names the line."""


class Encoded(str):
    """An encoded text. It must not be cut: that would break it, or silently drop its end."""

    __slots__ = ()


class Missing(ChainableUndefined):
    """A missing or null fact: it renders as nothing, sorts first and equals null."""

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
    """A value as a template shows it. Raises TemplateError for what is not a fact, such as `loop`."""
    if isinstance(value, str):
        return value if isinstance(value, Encoded) else cut(value)
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, int | float):
        return cut(str(value))
    return to_json(value)


def encoded(text: str) -> Encoded:
    """An encoded text, unchanged. Raises TemplateError if it is too long, because it cannot be cut."""
    if len(text) > MAX_ENCODED:
        raise TemplateError(f"an encoded text has more than {MAX_ENCODED} characters")
    return Encoded(text)


def to_json(value: Any) -> str:
    """The value as JSON. Large lists and objects are cut."""
    if isinstance(value, str):
        return encoded(json.dumps(text_of(value), ensure_ascii=False))
    return cut(json.dumps(_beginning(value, _Room()), ensure_ascii=False, default=_refuse))


@dataclass(slots=True)
class _Room:
    """The room that is left for a value, shared by all its levels."""

    parts: int = MAX_PARTS
    characters: int = MAX_VALUE

    def take(self, text: str) -> str:
        kept = cut(text)
        self.characters -= len(kept)
        return kept

    def fitting(self, items: Iterable[Any]) -> Iterator[Any]:
        return takewhile(lambda _: self.parts > 0 and self.characters > 0, items)


def _beginning(value: Any, room: _Room) -> Any:
    """As much of a value as fits."""
    room.parts -= 1
    if isinstance(value, str):
        return room.take(value)
    if isinstance(value, Mapping):
        return {room.take(str(key)): _beginning(item, room) for key, item in room.fitting(value.items())}
    if isinstance(value, list | tuple):
        return [_beginning(item, room) for item in room.fitting(value)]
    return None if isinstance(value, Missing) else value


def _refuse(value: Any) -> Any:
    raise TemplateError(f"{type(value).__name__} cannot be shown: show one of its values")


def list_of(value: Any) -> list[Any]:
    """The items of a loop: a list's items or an object's names. Another value is one item, a missing one none.

    It is cut after the first item over the limit.
    """
    if isinstance(value, list | tuple | Mapping):
        return list(islice(value, MAX_ITEMS + 1))
    return [] if value is None or isinstance(value, Missing) else [value]


def operand(value: Any) -> Any:
    """The value to compare: a text, a number, or a list's plain items. Raises TemplateError for an object."""
    if isinstance(value, Mapping):
        raise TemplateError("an object cannot be compared: compare one of its values")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:MAX_PARTS]]
    return _plain(value)


def _plain(value: Any) -> Any:
    return cut(value) if isinstance(value, str) else None if isinstance(value, Mapping | list | tuple) else value
