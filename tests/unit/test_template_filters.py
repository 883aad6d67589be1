"""What each filter of a message template makes of a value."""

from typing import Any

import pytest

from app.services.messages.template import TemplateError, check, render
from app.services.messages.template_filters import FILTERS
from app.services.messages.template_values import (
    MAX_ENCODED,
    MAX_ITEMS,
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
