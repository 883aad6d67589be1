"""What of any value the database takes."""

from typing import Any

import pytest

from app.core.storable import DEEP_TEXT_LIMIT, MAX_INTEGER_BITS, cut, storable
from app.services.incidents.alert import cut_line


@pytest.mark.parametrize(
    ("value", "depth", "stored"),
    [
        ({"a": {"b": 1}}, 1, {"a": '{"b": 1}'}),
        ({"a": [1]}, 1, {"a": "[1]"}),
        ([{"a": 1}], 1, ['{"a": 1}']),
        ([[1]], 0, "[[1]]"),
        ({"a": (1, "\0")}, 2, {"a": [1, "\ufffd"]}),
        ({5: "x"}, 1, {"5": "x"}),
        ({"a": "é"}, 0, '{"a": "é"}'),
        ([2 ** (MAX_INTEGER_BITS - 1), 1.5, None, True], 1, [2 ** (MAX_INTEGER_BITS - 1), 1.5, None, True]),
        ([float("inf")], 1, ["Infinity"]),
        ({"a": {1, 2}}, 0, '{"a": "{1, 2}"}'),
        ([{(1,): 2}], 1, ["(not shown)"]),
    ],
)
def test_what_is_deeper_than_it_may_be_is_written_as_text(value: Any, depth: int, stored: Any) -> None:
    assert storable(value, depth) == stored


def test_an_integer_of_too_many_bits_is_written_in_hexadecimal() -> None:
    assert storable(2**MAX_INTEGER_BITS) == cut(hex(2**MAX_INTEGER_BITS), DEEP_TEXT_LIMIT)


@pytest.mark.parametrize(
    ("text", "limit", "kept"), [("abcdef", 6, "abcdef"), ("abcdefg", 6, "abcde…"), ("a\0", 5, "a\ufffd")]
)
def test_a_text_is_cut_only_beyond_its_limit(text: str, limit: int, kept: str) -> None:
    assert cut(text, limit) == kept
    assert cut_line(text, limit) == kept
