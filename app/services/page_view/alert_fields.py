"""Picks the parts of an alert that help somebody on a phone: its text, and its fields in a short list."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_READ = 2_000  # fields of a large alert; the rest is ignored
MAX_FIELDS = 40
MAX_VALUE = 300
MAX_DEPTH = 8
TEXTS = ("message", "reason", "alert_text")  # matched by the last part of a field's name, best first
UNRENDERED = re.compile(r"\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Field:
    """One value of an alert, under its dotted name."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class AlertFields:
    """An alert's text, if any, its other fields by name, and how many fields are left out."""

    text: str | None
    fields: tuple[Field, ...]
    left_out: int


def alert_fields(metadata: Mapping[str, Any]) -> AlertFields:
    """The text and the fields of an alert's body. Empty values and unrendered variables count as absent."""
    found = list(islice(_leaves("", metadata, MAX_DEPTH), MAX_READ))
    text = next((field.value for wanted in TEXTS for field in found if _last_part(field) == wanted), None)
    others = sorted((field for field in found if field.value != text), key=lambda field: field.name)
    shown = tuple(Field(field.name, _cut(field.value)) for field in others[:MAX_FIELDS])
    return AlertFields(text, shown, len(others) - len(shown))


def _leaves(path: str, value: Any, depth: int) -> Iterator[Field]:
    if isinstance(value, Mapping) and depth:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner, depth - 1)
    elif isinstance(value, list) and depth and any(isinstance(item, Mapping | list) for item in value):
        for position, item in enumerate(value):
            yield from _leaves(f"{path}[{position}]", item, depth - 1)
    elif text := _text(value):
        yield Field(path, text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    if value is None or isinstance(value, Mapping):
        return ""
    text = str(value).strip()
    return "" if UNRENDERED.fullmatch(text) else text


def _last_part(field: Field) -> str:
    return field.name.rpartition(".")[2].lower()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1].rstrip() + "…"
