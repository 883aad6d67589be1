"""Measures JSON and cuts it to a size. A larger value takes no longer."""

import json
from decimal import Decimal
from itertools import islice
from typing import Any

from app.core.storable import MAX_DEPTH, scrub, storable

TRUNCATED = "_truncated"
MARK_BYTES = len(f',"{TRUNCATED}":true')
MIN_ITEM_BYTES = 2  # a digit and its comma
MIN_KEPT_TEXT = 8  # characters: a shorter beginning of a text is useless
ELLIPSIS = "…"
ENCODER = json.JSONEncoder(ensure_ascii=False)  # json.dumps would make a new one for each value


def bounded(body: dict[str, Any], limit: int) -> dict[str, Any]:
    """The object in storable form: whole if it fits into `limit` bytes, else cut and marked `"_truncated": true`.

    Small values stay whole; large ones share the remaining room.
    """
    if size_of(body, limit) <= limit:
        kept: dict[str, Any] = storable(body)
        if kept == body or size_of(kept, limit) <= limit:
            return kept
    return {**_cut_object(body, limit - MARK_BYTES, MAX_DEPTH - 1), TRUNCATED: True}


def is_same(one: Any, other: Any) -> bool:
    """Compare as JSON, where true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def size_of(value: Any, limit: int, depth: int = MAX_DEPTH) -> int:
    """The size of the value in bytes, as compact UTF-8 JSON. Stops counting beyond `limit`."""
    if isinstance(value, dict) and depth:
        return _size_of_object(value, limit, depth - 1)
    if isinstance(value, (list, tuple)) and depth:
        size = 1
        for item in value:
            size += size_of(item, limit - size, depth - 1) + 1
            if size > limit:
                break
        return max(size, 2)
    return _size_of_scalar(value, limit)


def _size_of_object(value: dict[str, Any], limit: int, depth: int) -> int:
    size = 1
    for key, item in value.items():
        size += _size_of_scalar(str(key), limit - size) + 2
        if size <= limit:
            size += size_of(item, limit - size, depth)
        if size > limit:
            break
    return max(size, 2)


def _size_of_scalar(value: Any, limit: int) -> int:
    if isinstance(value, str) and len(value) > limit:
        return limit + 1
    if isinstance(value, float) and "e" in repr(value):  # PostgreSQL writes 1e300 in full
        return max(len(repr(value)), len(format(Decimal(repr(value)), "f")))
    written = ENCODER.encode(storable(value, depth=0))
    return len(written) if written.isascii() else len(written.encode())


def _cut(value: Any, room: int, depth: int) -> Any:
    """As much of the value as fits into `room` bytes; None if that would be useless."""
    if room < MIN_ITEM_BYTES:
        return None
    if size_of(value, room, depth) <= room:
        kept = storable(value, depth)
        if size_of(kept, room, depth) <= room:
            return kept
    if isinstance(value, dict) and depth:
        return _cut_object(value, room, depth - 1) or None
    if isinstance(value, (list, tuple)) and depth:
        return _cut_list(value, room, depth - 1) or None
    return _cut_text(value, room) if isinstance(value, str) else None


def _cut_object(value: dict[str, Any], room: int, depth: int) -> dict[str, Any]:
    """Keep the values that fit into an equal share whole, then cut the others to the remaining room."""
    room -= 2
    items = {storable(str(key)): item for key, item in islice(value.items(), room // MIN_ITEM_BYTES)}
    kept: dict[str, Any] = dict.fromkeys(items)
    share = room // max(len(items), 1)
    large = {}
    for key, item in items.items():
        size = _size_of_scalar(key, room) + 2 + size_of(item, share, depth)
        if size <= share:
            kept[key] = storable(item, depth)
            room -= size
        else:
            large[key] = item
    for left, (key, item) in zip(range(len(large), 0, -1), large.items(), strict=True):
        around = _size_of_scalar(key, room) + 2
        cut = _cut(item, room // left - around, depth)
        if cut is None:
            del kept[key]
        else:
            kept[key] = cut
            room -= around + size_of(cut, room, depth)
    return kept


def _cut_list(value: list[Any] | tuple[Any, ...], room: int, depth: int) -> list[Any]:
    """As many of the first items as fit."""
    kept: list[Any] = []
    room -= 2
    for item in value:
        cut = _cut(item, room - 1, depth)
        if cut is None and item is not None:
            break
        kept.append(cut)
        room -= size_of(cut, room, depth) + 1
        if room < MIN_ITEM_BYTES:
            break
    return kept


def _cut_text(text: str, room: int) -> str | None:
    short = scrub(text[: max(room, 0)])
    low, high = 0, len(short)
    while low < high:
        middle = (low + high + 1) // 2
        is_fitting = _size_of_scalar(short[:middle] + ELLIPSIS, 8 * len(short)) <= room
        low, high = (middle, high) if is_fitting else (low, middle - 1)
    return short[:low] + ELLIPSIS if low >= MIN_KEPT_TEXT else None
