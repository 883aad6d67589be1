"""An alert's body as a short list of fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.page_view.alert_fields import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_READ,
    MAX_VALUE,
    AlertFields,
    Field,
    alert_fields,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=50,
)


@pytest.mark.parametrize(
    ("metadata", "fields"),
    [
        ({"host": {"name": "web-1"}, "value": 97}, [("host.name", "web-1"), ("value", "97")]),
        ({"tags": ["prod", "eu", ""]}, [("tags", "prod, eu")]),
        ({"hits": [{"id": 1}, {"id": 2}]}, [("hits[0].id", "1"), ("hits[1].id", "2")]),
        ({"a": "", "b": None, "c": [], "d": {}, "e": "{{rule.name}}", "f": " x "}, [("f", "x")]),
        ({"x": [{"id": 1}, 2, [3, 4]]}, [("x[0].id", "1"), ("x[1]", "2"), ("x[2]", "3, 4")]),
        ({"x": [[1, 2], [3]]}, [("x[0]", "1, 2"), ("x[1]", "3")]),
        ({"x": [1, None, "", "{{y}}", True, " z "]}, [("x", "1, yes, z")]),
        ({"": {"": "x"}, "b": {"": "y"}}, [("", "x"), ("b.", "y")]),
        ({"a": "{{x\ny}}", "b": "{{x}} of {y}"}, [("b", "{{x}} of {y}")]),
        ({"ok": True, "bad": False, "none": 0}, [("bad", "no"), ("none", "0"), ("ok", "yes")]),
    ],
)
def test_fields_have_dotted_names_and_absent_ones_are_left_out(
    metadata: dict[str, Any], fields: list[tuple[str, str]]
) -> None:
    assert [(field.name, field.value) for field in alert_fields(metadata).fields] == fields


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"reason": "R", "context": {"message": "M"}}, "M"),
        ({"kibana.alert.reason": "R"}, "R"),
        ({"alert_text": "T"}, "T"),
        ({"message": "{{context.message}}", "reason": "R"}, "R"),
        ({"kibana.alert.Reason": "R", "Alert_Text": "T"}, "R"),
        ({"message.text": "M", "text": {"reason": "R"}}, "R"),
        ({"host": "web-1"}, None),
    ],
)
def test_the_alerts_own_text_is_its_message_or_else_its_reason(metadata: dict[str, Any], text: str | None) -> None:
    found = alert_fields(metadata)
    assert found.text == text
    assert text not in [field.value for field in found.fields]


def test_many_fields_are_counted_and_long_ones_cut() -> None:
    found = alert_fields({f"field_{number:03}": "x" * 1_000 for number in range(100)})
    assert (len(found.fields), found.left_out) == (MAX_FIELDS, 100 - MAX_FIELDS)
    assert {len(field.value) for field in found.fields} == {MAX_VALUE}


def test_of_a_very_large_alert_only_the_beginning_is_read() -> None:
    found = alert_fields({f"field_{number:05}": number + 1 for number in range(MAX_READ + 500)})
    assert (len(found.fields), found.left_out) == (MAX_FIELDS, MAX_READ - MAX_FIELDS)


@pytest.mark.parametrize("kind", ["object", "list"])
def test_what_is_nested_too_deeply_is_left_out(kind: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: Any = {"k": "x"}
        for _ in range(levels - 1):
            value = {"k": value} if kind == "object" else [value]
        return {"k": value}

    found = alert_fields(nested(MAX_DEPTH - 1))
    assert [field.value for field in found.fields] == ["x"]
    assert alert_fields(nested(MAX_DEPTH)) == AlertFields(None, (), 0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * MAX_VALUE, "x" * MAX_VALUE),
        ("x" * (MAX_VALUE + 1), "x" * (MAX_VALUE - 1) + "…"),
        ("x" * (MAX_VALUE - 3) + "  yyyy", "x" * (MAX_VALUE - 3) + "…"),
        ("  " + "x" * (MAX_VALUE - 3) + "  yyyy", "x" * (MAX_VALUE - 3) + "…"),
    ],
)
def test_a_long_value_is_cut_behind_its_last_word(value: str, shown: str) -> None:
    assert alert_fields({"a": value}).fields == (Field("a", shown),)


def test_the_alerts_own_text_is_whole_and_no_field_besides() -> None:
    text = "x" * (2 * MAX_VALUE)
    found = alert_fields({"b": 1, "message": text, "reason": text, "a": 2})
    assert found == AlertFields(text, (Field("a", "2"), Field("b", "1")), 0)


@pytest.mark.slow
@given(st.dictionaries(st.text(), JSON))
def test_any_json_gives_a_bounded_list(metadata: dict[str, Any]) -> None:
    found = alert_fields(metadata)
    assert len(found.fields) <= MAX_FIELDS
    assert all(0 < len(field.value) <= MAX_VALUE for field in found.fields)
