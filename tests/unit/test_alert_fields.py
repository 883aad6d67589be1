"""An alert's body as a short list of fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.page_view.alert_fields import MAX_FIELDS, MAX_VALUE, alert_fields

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


@given(st.dictionaries(st.text(), JSON))
def test_any_json_gives_a_bounded_list(metadata: dict[str, Any]) -> None:
    found = alert_fields(metadata)
    assert len(found.fields) <= MAX_FIELDS
    assert all(0 < len(field.value) <= MAX_VALUE for field in found.fields)
