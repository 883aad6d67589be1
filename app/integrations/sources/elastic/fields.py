"""Look-ups in an Elastic body, whose shape its sender chooses: one name for every spelling of a field.

`rule.id`, `{"rule": {"id": ...}}`, `rule_id` and `ruleId` are all the field `rule_id`. Kibana's Mustache
templates render a missing variable as "", a list comma-joined and an object as a string that holds JSON. Kibana's
Test button sends the template unrendered: a text with nothing but variables counts as empty too.
"""

import json
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from app.core.storable import MAX_INTEGER_BITS

Fields = dict[str, str]

PATH_LIMIT = 64
MAX_DEPTH = 8

# Outermost first: an alert may come wrapped, as a search hit, and with the field names of the alert index.
WRAPPERS = ("alert_", "ctx_", "_source_", "kibana_alert_")
TAGS = ("tags", "rule_tags", "labels")

CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
SEPARATORS = re.compile(r"[.\-\s]+")
TAG_SEPARATOR = re.compile("[:=]")

TEMPLATE_LIMIT = 4_000
SECTION = re.compile(r"\{\{[#^]\s*([^{}]{1,200}?)\s*\}\}.*?\{\{/\s*\1\s*\}\}", re.DOTALL)
VARIABLE = re.compile(r"\{\{[^{}]{0,200}\}?\}\}|\{\{\{[^{}]{0,200}\}\}\}")


def fields_of(value: dict[str, Any], within: str = "") -> Fields:
    """The object's non-empty texts and numbers, by path.

    A wrapped field has two paths: with the wrapper and without it. If several fields share a path, the first one
    counts; a field without a wrapper comes before a wrapped one.
    """
    fields: Fields = {}
    _collect(fields, within, value, MAX_DEPTH)
    for wrapper in WRAPPERS:
        for path, text in list(fields.items()):
            if path.startswith(wrapper):
                fields.setdefault(path.removeprefix(wrapper), text)
    return fields


def first(fields: Fields, paths: Iterable[str]) -> str | None:
    """The text of the first path that exists."""
    return next((fields[path] for path in paths if path in fields), None)


def tags_of(fields: Fields) -> list[tuple[str, str]]:
    """The tags as (key, value), written `key:value` or `key=value`; the key of a bare word is ""."""
    return [_tag(tag) for path in TAGS if path in fields for tag in fields[path].split(",")]


def decoded(value: Any) -> Any:
    """The object or list in a JSON string, else the value. Objects joined by commas are a list."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith(("{", "[")):
        return value
    for candidate in (text, f"[{text}]"):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return value


def text_of(value: Any) -> str:
    """A text or number; a list joined by commas, as Mustache does; "" for anything else, even True and False."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ",".join(filter(None, (text_of(item) for item in value if not isinstance(item, list))))
    return str(value) if _is_number(value) else ""


def has_variable(text: str) -> bool:
    """True for a text with an unrendered variable, which is the same for every alert."""
    return "{{" in text and VARIABLE.search(text) is not None


def _is_unrendered(text: str) -> bool:
    """True for a text with nothing but variables."""
    if "{{" not in text or len(text) > TEMPLATE_LIMIT or not has_variable(text):
        return False
    rest = VARIABLE.sub("", SECTION.sub("", text))
    return not any(map(str.isalnum, rest))


def _is_number(value: Any) -> bool:
    """True for a number that has an ordinary spelling."""
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= MAX_INTEGER_BITS
    return isinstance(value, float) and math.isfinite(value)


def _collect(fields: Fields, path: str, value: Any, depth: int) -> None:
    inner = decoded(value) if isinstance(value, str) else value
    if isinstance(inner, dict) and depth:
        for key, item in inner.items():
            if len(path) + len(key) < PATH_LIMIT:
                deeper = f"{path}_{_spelling(key)}" if path else _spelling(key)
                _collect(fields, deeper, item, depth - 1)
    text = text_of(value)
    if text and not _is_unrendered(text):
        fields.setdefault(path, text)


@lru_cache(maxsize=4096)
def _spelling(key: str) -> str:
    return SEPARATORS.sub("_", CAMEL_HUMP.sub("_", key)).lower()


def _tag(tag: str) -> tuple[str, str]:
    *key, value = (part.strip("[]{}\"' \t\r\n") for part in TAG_SEPARATOR.split(tag, maxsplit=1))
    return (_spelling(key[0]) if key else "", value)
