"""How JSON is measured, and what is kept of what is too large."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bounded_json import _cut, _cut_text, bounded, is_same, size_of
from app.core.storable import MAX_DEPTH
from tests.support.watched import Watched

LIMIT = 4_000
TEXTS = st.text(st.characters(exclude_categories=[]))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@given(JSON_VALUES, st.integers(0, 80))
def test_a_size_is_counted_no_further_than_its_limit(value: Any, limit: int) -> None:
    assert min(size_of(value, limit), limit + 1) == min(size_of(value, 10**9), limit + 1)


@pytest.mark.parametrize("value", [{"a": 1, "b": [2, "c"]}, [1, [2], {"d": 3}], "text", {"key": ""}, [[], {}]])
def test_no_limit_makes_a_value_smaller_than_it_is(value: Any) -> None:
    size = len(compact(value))
    assert [min(size_of(value, limit), limit + 1) for limit in range(40)] == [min(size, at + 1) for at in range(40)]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ([], 2),
        ({}, 2),
        ([[], {}], 7),
        ({"a": {"b": []}}, 14),
        ((1, 2), 5),
        (1e300, 301),
        (1e-7, len("0.0000001")),
        (1.5, 3),
        (float("nan"), 5),  # as a text
        ("\0", len('"\ufffd"'.encode())),
        ("ü", 4),
        (None, 4),
    ],
)
def test_a_size_is_that_of_what_is_stored(value: Any, size: int) -> None:
    assert size_of(value, 1_000) == size
    assert size_of([value], 1_000) == size + 2


@pytest.mark.parametrize("length", range(1, 9))
def test_a_text_that_is_cut_fills_what_there_is(length: int) -> None:
    name = "k" * length
    kept = bounded({name: "x" * LIMIT}, LIMIT)
    assert len(compact(kept)) == LIMIT - 1
    assert kept[name].strip("x") == "…"


@pytest.mark.parametrize(("room", "kept"), [(13, "xxxxxxxx…"), (12, None), (14, "xxxxxxxxx…"), (0, None), (-5, None)])
def test_of_a_text_at_least_a_few_characters_are_kept_or_none(room: int, kept: str | None) -> None:
    assert _cut_text("x" * 20, room) == kept


def test_as_much_of_a_text_is_kept_as_there_is_room_for() -> None:
    assert [_cut_text("x" * 50, room) for room in range(13, 43)] == ["x" * (room - 5) + "…" for room in range(13, 43)]


def test_what_just_fits_into_its_room_is_kept_whole() -> None:
    items = [1] * 99
    assert _cut(items, len(compact(items)), 1) == items


def test_a_list_of_the_smallest_items_is_filled_to_the_last() -> None:
    kept = bounded({"k": [1] * LIMIT}, LIMIT)
    around = len(compact({"k": [], "_truncated": True})) + 1
    assert kept["k"] == [1] * ((LIMIT - around) // 2)


@pytest.mark.parametrize(("spare", "count"), [(0, 30), (1, 30), (-1, 29)])
def test_a_list_that_is_cut_has_as_many_items_as_fit(spare: int, count: int) -> None:
    """Each item takes 100 bytes with its comma; the name of the list decides how much is left for them."""
    around = len(compact({"": [], "_truncated": True})) + 1
    key = "k" * (LIMIT - around - 30 * 100 - spare)
    kept = bounded({key: [10**98] * 2_000}, LIMIT)
    assert kept[key] == [10**98] * count


def test_large_values_share_what_the_small_ones_leave() -> None:
    kept = bounded({"a": "x" * 10**5, "small": "s" * 500, "b": "y" * 10**5, "c": ["z" * 99] * 10**3, "n": None}, LIMIT)
    assert (kept["small"], kept["n"], kept["_truncated"]) == ("s" * 500, None, True)
    sizes = [len(compact(kept[name])) for name in "abc"]
    assert max(sizes) - min(sizes) <= 110
    assert LIMIT - 110 <= len(compact(kept)) <= LIMIT


def test_a_value_of_exactly_an_equal_share_stays_whole() -> None:
    share = (LIMIT - len(',"_truncated":true') - 2) // 2
    whole = "x" * (share - len('"a":"",'))
    assert bounded({"a": whole, "b": "y" * 10**5}, LIMIT)["a"] == whole
    assert bounded({"a": whole + "x", "b": "y" * 10**5}, LIMIT)["a"] != whole + "x"


def test_within_what_is_cut_the_same_holds_for_objects_and_lists() -> None:
    large = {"text": "x" * 10**5, "small": 1}
    kept = bounded({"outer": {"list": [large, large], "small": [2]}, "other": "y" * 10**5}, LIMIT)
    assert kept["outer"]["small"] == [2]
    assert kept["outer"]["list"][0]["small"] == 1
    assert kept["outer"]["list"][0]["text"].endswith("x…")
    assert len(compact(kept)) > LIMIT * 0.99


def test_what_would_say_nothing_when_it_is_cut_is_left_out() -> None:
    many = {f"key {number:06}": "long enough to be cut" for number in range(200)}
    kept = bounded({"many": many, "none": None}, LIMIT)
    assert all(text.startswith("long eno") for text in kept["many"].values())
    assert kept["none"] is None
    assert len(kept["many"]) > 50


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = [inner]
    return inner


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@pytest.mark.parametrize("levels", [MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 5])
def test_what_is_nested_is_kept_alike_in_a_body_that_is_cut(levels: int) -> None:
    whole = bounded({"deep": nested(levels, "x")}, LIMIT)
    beside = bounded({"deep": nested(levels, "x"), "large": "y" * LIMIT}, LIMIT)
    assert beside["deep"] == whole["deep"]
    assert depth_of(bounded({"deep": nested(levels, "x" * LIMIT)}, LIMIT)) <= MAX_DEPTH


@pytest.mark.parametrize("item", [1, {}, [[1]]])
def test_no_more_of_a_large_list_is_read_than_may_fit(item: Any) -> None:
    items = Watched([item] * 4 * LIMIT)
    bounded({"items": items}, LIMIT)
    assert 0 < items.asked < 2 * LIMIT


def test_no_more_of_a_large_object_is_read_than_may_fit() -> None:
    class WatchedObject(dict[str, Any]):
        asked = 0

        def items(self) -> Any:
            for item in super().items():
                self.asked += 1
                yield item

    body = WatchedObject({str(number): number for number in range(4 * LIMIT)})
    bounded(body, LIMIT)
    assert 0 < body.asked < 2 * LIMIT


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"a": {"c": 1, "b": 2}}, {"a": {"b": 2, "c": 1}}, True),
        (1, True, False),
        ({"a": 1}, {"a": 1.0}, False),
        ([1, 2], [2, 1], False),
    ],
)
def test_values_are_compared_as_json(one: Any, other: Any, expected: bool) -> None:
    assert is_same(one, other) is expected


def test_what_fits_is_kept_whole_to_the_byte() -> None:
    body = {"a": "x" * (LIMIT - len('{"a":""}'))}
    assert bounded(body, LIMIT) == body
    assert bounded({"a": body["a"] + "x"}, LIMIT)["_truncated"] is True
    grown = {"a": "\0" * ((LIMIT - 8) // 3)}  # each is kept as a character of three bytes
    assert bounded(grown, LIMIT) == {"a": "\ufffd" * ((LIMIT - 8) // 3)}


@pytest.mark.parametrize(
    "value",
    [
        [["x" * 100] * 15] * 9,
        [{"a": ["x" * 100] * 15}] * 9,
        {"a": [["x" * 100] * 15] * 9, "b": {"c": ["y" * 100] * 90}},
        [[[["x" * 100] * 3] * 5]] * 9,
        ("x" * 100,) * 99,
    ],
)
def test_whatever_is_cut_fits_and_leaves_little_room(value: Any) -> None:
    kept = bounded({"value": value, "small": 1}, LIMIT)
    assert (kept["small"], kept["_truncated"]) == (1, True)
    assert LIMIT * 0.9 < len(compact(kept)) <= LIMIT


@pytest.mark.parametrize(
    ("value", "depth", "kept"),
    [
        ([[1]], 1, ["[1]"]),
        ([[1]], 2, [[1]]),
        ({"a": [[1]], "b": "x" * 500}, 2, {"a": ["[1]"], "b": "x" * 176 + "…"}),
        ({"a": [[1]], "b": "x" * 500}, 3, {"a": [[1]], "b": "x" * 178 + "…"}),
        ([[[1]], "x" * 500], 2, [["[1]"], "x" * 184 + "…"]),
        ([[[1]], "x" * 500], 3, [[[1]], "x" * 186 + "…"]),
        ({"a": [['"' * 40]], "b": "x" * 50}, 1, {"b": "x" * 50}),
        ([["x" * 500]], 0, None),
    ],
)
def test_what_is_deeper_than_it_may_be_is_text_also_where_it_is_cut(value: Any, depth: int, kept: Any) -> None:
    assert _cut(value, 200, depth) == kept
    assert len(compact(kept)) <= 200


def test_what_changes_when_it_is_stored_is_whole_if_it_just_fits() -> None:
    body = {"text": "\0\0\0"}
    assert bounded(body, size_of(body, 1_000)) == {"text": "\ufffd\ufffd\ufffd"}
