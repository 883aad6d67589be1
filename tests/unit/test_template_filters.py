"""What each filter of a message template makes of a value."""

import json
from typing import Any

import pytest

from app.services.messages.template import TemplateError, check, render
from app.services.messages.template_filters import FILTERS
from app.services.messages.template_values import (
    MAX_ENCODED,
    MAX_ITEMS,
    MAX_PARTS,
    MAX_VALUE,
    Encoded,
    Missing,
    cut,
    encoded,
    list_of,
    operand,
    text_of,
    to_json,
)
from tests.support.watched import Watched

MISSING = Missing()
ENTRIES = {f"key {number}": number for number in range(MAX_ITEMS + 5)}
LONGEST = Encoded("x" * (MAX_VALUE + 1))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("capitalize", ["dISK full"], "Disk full"),
        ("title", ["disk full"], "Disk Full"),
        ("lower", ["DISK"], "disk"),
        ("upper", ["disk"], "DISK"),
        ("trim", ["  disk "], "disk"),
        ("striptags", ["<b>disk</b>"], "disk"),
        ("escape", ["<b>"], "&lt;b&gt;"),
        ("upper", [None], ""),
        ("upper", [5], "5"),
        ("upper", ["x" * (MAX_VALUE + 9)], cut("X" * (MAX_VALUE + 9))),
        ("default", [None], ""),
        ("default", [MISSING, "none"], "none"),
        ("default", ["", "none"], ""),
        ("default", ["", "none", True], "none"),
        ("default", ["some", "none", True], "some"),
        ("default", [0, "none"], 0),
        ("first", ["abc"], "a"),
        ("first", [[3, 4]], 3),
        ("first", [[]], None),
        ("first", [{"a": 1}], None),
        ("first", [7], None),
        ("last", ["abc"], "c"),
        ("last", [(3, 4)], 4),
        ("last", [[]], None),
        ("last", [{"a": 1}], None),
        ("last", [7], None),
        ("length", ["abcd"], 4),
        ("length", [["a"] * (MAX_ITEMS + 5)], MAX_ITEMS + 5),
        ("length", [{"a": 1, "b": 2}], 2),
        ("length", [None], 0),
        ("length", [7], 1),
        ("items", [{"a": 1}], [("a", 1)]),
        ("items", [ENTRIES], list(ENTRIES.items())[: MAX_ITEMS + 1]),
        ("items", [["a"]], []),
        ("items", [None], []),
        ("int", ["7.9"], 7),
        ("int", [7], 7),
        ("int", [-7.9], -7),
        ("int", [10**20 + 1], 10**20 + 1),
        ("int", ["seven"], 0),
        ("int", ["seven", 9], 9),
        ("int", ["1e999", 9], 9),
        ("round", [2.567], 3),
        ("round", [2.567, 2], 2.57),
        ("round", ["2.567", 1], 2.6),
        ("round", ["2.567"], 3),
        ("round", [1234, -2], 1200),
        ("round", ["seven"], "seven"),
        ("urlencode", ["a/b c&d=ü"], "a%2Fb%20c%26d%3D%C3%BC"),
        ("urlencode", ["\ud800"], "%3F"),
        ("join", [["a", 1, None], "-"], "a-1-"),
        ("join", [["a", "b"]], "ab"),
        ("join", ["ab", "-"], "ab"),
        ("join", [None, "-"], ""),
        ("truncate", ["one two three", 9], "one two…"),
        ("truncate", ["one two three", 13], "one two three"),
        ("truncate", ["one two three", 9, True], "one two …"),
        ("truncate", ["one two three", 9, False, "+"], "one two+"),
        ("truncate", ["onetwothree", 5], "onet…"),
        ("truncate", ["x" * 256], "x" * 254 + "…"),
        ("truncate", ["x" * 255], "x" * 255),
    ],
)
def test_a_filter_makes_this_of_a_value(name: str, arguments: list[Any], expected: Any) -> None:
    found = FILTERS[name](*arguments)
    assert (found, type(found) in {str, Encoded}) == (expected, isinstance(expected, str))


@pytest.mark.parametrize("name", ["upper", "trim", "urlencode"])
def test_an_encoded_text_that_is_too_long_cannot_be_changed(name: str) -> None:
    with pytest.raises(TemplateError, match=f"^an encoded text of more than {MAX_VALUE} characters cannot be changed"):
        FILTERS[name](LONGEST)


def test_an_encoded_text_has_a_longest_length() -> None:
    assert encoded("x" * MAX_ENCODED) == "x" * MAX_ENCODED
    with pytest.raises(TemplateError, match=f"^an encoded text has more than {MAX_ENCODED} characters$"):
        encoded("x" * (MAX_ENCODED + 1))
    with pytest.raises(TemplateError, match=f"^an encoded text has more than {MAX_ENCODED} characters$"):
        FILTERS["join"]([LONGEST] * (MAX_ENCODED // MAX_VALUE + 1))


@pytest.mark.parametrize("separator", [[1], {"a": 1}, (1,)])
def test_only_a_text_stands_between_texts_or_at_their_end(separator: Any) -> None:
    for name, arguments in (("join", [["a", "b"], separator]), ("truncate", ["one two", 3, True, separator])):
        with pytest.raises(
            TemplateError, match=r"^a list or an object cannot be a separator or an end mark: use text$"
        ):
            FILTERS[name](*arguments)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (MISSING, ""),
        (7, "7"),
        (2.5, "2.5"),
        ("disk", "disk"),
        ([1, "a", None, MISSING], '[1, "a", null, null]'),
        ({"a": [True]}, '{"a": [true]}'),
    ],
)
def test_a_value_reads_like_this(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_what_is_no_json_cannot_be_shown() -> None:
    with pytest.raises(TemplateError, match=r"^object cannot be shown: show one of its values$"):
        to_json([object()])
    assert to_json('"ü"') == '"\\"ü\\""'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2], [1, 2]),
        ({"a": 1}, ["a"]),
        (None, []),
        (MISSING, []),
        ("abc", ["abc"]),
        (0, [0]),
        (list(range(MAX_ITEMS + 9)), list(range(MAX_ITEMS + 1))),
    ],
)
def test_a_loop_goes_through_these(value: Any, expected: list[Any]) -> None:
    assert list_of(value) == expected


def test_plain_values_are_compared_and_objects_are_not() -> None:
    assert operand([1, "a", {"b": 1}, [2], None]) == [1, "a", None, None, None]
    assert operand("x" * (MAX_VALUE + 5)) == cut("x" * (MAX_VALUE + 5))
    with pytest.raises(TemplateError, match=r"^an object cannot be compared: compare one of its values$"):
        operand({})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ list[0] }}{{ list[1] }}{{ list[first] }}{{ list[last] }}", "abab"),
        ("{{ list[2] }}{{ list[before] }}{{ list['0'] }}", ""),
        ("{{ object.key }}{{ object['other'] }}{{ object[list] }}", "value"),
        ("{{ text[0] }}{{ number[0] }}", ""),
        ("{% if true %}\nyes\n{% endif %}\nend\n", "yes\nend\n"),
        ("  {% if true %}\nyes\n  {% endif %}\n", "yes\n"),
        ("{{ text | e }}", "&lt;b&gt;"),
    ],
)
def test_a_template_reads_values_and_keeps_its_lines(source: str, text: str) -> None:
    facts = {
        "list": ["a", "b"],
        "object": {"key": "value"},
        "text": "<b>",
        "number": 7,
        "last": -1,
        "first": -2,
        "before": -3,
    }
    assert render(source, facts) == text


def test_html_is_escaped_only_where_it_is_asked_for() -> None:
    assert render("{{ text }}{{ text | e }}", {"text": "<b>"}, html=True) == "&lt;b&gt;&lt;b&gt;"
    assert render("{{ text }}", {"text": "<b>"}) == "<b>"
    check("{{ text }}")
    check("{{ text }}", html=True)


@pytest.mark.parametrize(
    ("other", "is_equal"), [(None, True), (Missing(), True), (0, False), ("", False), (False, False), ([], False)]
)
def test_what_is_missing_equals_nothing_and_null_alone(other: Any, is_equal: bool) -> None:
    assert (other == MISSING) is is_equal
    assert (other != MISSING) is not is_equal
    assert hash(MISSING) == hash(None)
    assert not any((other > MISSING, other >= MISSING, other < MISSING, other <= MISSING))


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["abcdef", 1, True], "…"),
        (["abcdef", 2, True, "..."], "..."),
        (["abcdef", 0, True, ""], ""),
        (["abcdef", 6, True], "abcdef"),
        (["abcdef", 5, True], "abcd…"),
        (["ab cd ef", 7], "ab cd…"),
        (["ab cd ef", 7, False, "..."], "ab..."),
        (["abcdefgh", 4], "abc…"),
    ],
)
def test_a_text_is_truncated_to_its_length_with_the_mark(arguments: list[Any], kept: str) -> None:
    assert FILTERS["truncate"](*arguments) == kept


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 2.6 | round }}", "3"),
        ("{{ '' | default('a', even_if_empty=true) }}{{ 1.26 | round(digits=1) }}", "a1.3"),
        ("{{ 2.64 | round(1) }}", "2.6"),
        ("{{ '2.6' | round }}", "3"),
        ("{{ 1234 | round('-2') }}", "1200"),
        ("{{ 'x' | round(1) }}", "x"),
        ("{{ 0.1234567890123456 | round(99) }}", "0.123456789012"),
        ("{{ true | int }}{{ '1e3' | int }}{{ '1e999' | int(7) }}{{ none | int }}", "1100070"),
        ("{{ 5.x is defined }}{{ missing.x.y is defined }}{{ 'text'[9] is defined }}", "FalseFalseFalse"),
    ],
)
def test_numbers_are_rounded_and_read(source: str, text: str) -> None:
    assert render(source, {}) == text


def test_of_a_large_list_the_first_values_are_shown() -> None:
    """The list itself counts as one of the `MAX_PARTS`."""
    assert json.loads(to_json([1] * 1_000)) == [1] * (MAX_PARTS - 1)
    assert json.loads(to_json([[1]] * 1_000)) == [*[[1]] * ((MAX_PARTS - 1) // 2), []]
    assert json.loads(to_json({str(n): 1 for n in range(1_000)})) == {str(n): 1 for n in range(MAX_PARTS - 1)}


@pytest.mark.parametrize(("length", "asked"), [(100, 41), (93, 45), (MAX_VALUE, 2), (9 * MAX_VALUE, 2)])
def test_no_more_of_a_list_is_read_than_its_text_has_room_for(length: int, asked: int) -> None:
    texts = Watched(["x" * length] * 1_000)
    to_json(texts)
    assert texts.asked == asked
    keys = {f"{n:04}".ljust(length, "k"): 1 for n in range(1_000)}
    assert len(to_json(keys)) == MAX_VALUE


@pytest.mark.parametrize("value", [list(range(9_999)), tuple(range(9_999)), {str(n): n for n in range(9_999)}])
def test_a_loop_is_given_one_item_too_many_at_most(value: Any) -> None:
    assert list_of(value) == list(value)[: MAX_ITEMS + 1]
    assert (list_of(None), list_of(MISSING), list_of(0), list_of("ab")) == ([], [], [0], ["ab"])


def test_what_is_compared_is_cut_and_a_list_to_its_plain_items() -> None:
    long = "x" * (MAX_VALUE + 1)
    assert operand([long, 1, None, [1], {"a": 1}, (1,)]) == [cut(long), 1, None, None, None, None]
    assert len(operand([0] * 1_000)) == MAX_PARTS
    assert (operand(long), operand(1.5), operand(None)) == (cut(long), 1.5, None)


def test_an_encoded_text_may_be_as_long_as_its_limit() -> None:
    assert encoded("x" * MAX_ENCODED) == "x" * MAX_ENCODED
    with pytest.raises(TemplateError, match=str(MAX_ENCODED)):
        encoded("x" * (MAX_ENCODED + 1))


def test_what_is_no_fact_is_refused_by_its_kind() -> None:
    with pytest.raises(TemplateError, match=r"^object "):
        text_of(object())


def test_texts_that_are_joined_are_cut_only_if_more_follows() -> None:
    longest = "x" * MAX_VALUE
    assert FILTERS["join"]([longest, ""]) == longest
    assert FILTERS["join"]([longest, "y"]) == cut(longest + "y")
    assert FILTERS["join"](["a", "b", "c"], "-") == "a-b-c"


def test_json_keeps_letters_of_every_script() -> None:
    assert (to_json("ü"), to_json(["ü", {"漢": "é"}])) == ('"ü"', '["ü", {"漢": "é"}]')
