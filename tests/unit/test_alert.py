"""The words, lengths and values that every alert source shares."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import storable
from app.services.incidents import alert

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
    max_leaves=20,
)


def assert_is_storable(value: Any) -> None:
    """PostgreSQL takes the value as JSONB."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in written.replace("\\\\", "")
    written.encode()


@pytest.mark.parametrize(
    "text", ["recovered", "Recovered", "RESOLVED", "resolved ", "OK", "ok", "Re_Covered", "re-solved", "[OK]"]
)
def test_any_spelling_of_recovered_resolved_or_ok_has_recovered(text: str) -> None:
    assert alert.is_recovered(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "active",
        "threshold_met",
        "firing",
        "unresolved",
        "not ok",
        "recovering",
        "Alert",
        "ok" + "." * 100,
        "✅",
    ],
)
def test_every_other_word_fires(text: str) -> None:
    assert not alert.is_recovered(text)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("critical", "critical"),
        ("CRIT", "critical"),
        ("SEV-1", "critical"),
        ("p1", "critical"),
        ("Emergency", "critical"),
        ("high", "high"),
        ("major", "high"),
        ("error", "high"),
        ("sev 2", "high"),
        ("warning", "medium"),
        ("minor", "medium"),
        ("P3", "medium"),
        ("info", "low"),
        ("Informational", "low"),
        ("p5", "low"),
        ("1", None),
        ("", None),
        ("production", None),
        ("high" * 30, None),
    ],
)
def test_a_vendors_word_becomes_one_of_our_severities(text: str, severity: str | None) -> None:
    assert alert.severity_from(text) == severity


def test_a_text_that_fits_is_kept() -> None:
    assert storable.cut(" two\nlines ", 9) == "two\nlines"


def test_a_text_that_is_too_long_ends_in_an_ellipsis() -> None:
    assert storable.cut("abc def", 5) == "abc…"
    assert storable.cut("abcdef", 1) == "…"


def test_a_name_is_on_one_line() -> None:
    assert alert.cut_line(" a\r\nBcc: b\t c ", 100) == "a Bcc: b c"


@given(st.text(st.characters(exclude_categories=[])), st.integers(1, 50))
def test_a_cut_text_is_storable_and_within_its_limit(text: str, limit: int) -> None:
    for short in (storable.cut(text, limit), alert.cut_line(text, limit)):
        assert len(short) <= limit
        assert bool(short) == bool(text.strip())
        assert_is_storable(short)


def test_a_key_that_fits_is_kept() -> None:
    assert alert.dedup_key_from("rule:alert" + "x" * 245) == "rule:alert" + "x" * 245


def test_keys_that_differ_after_the_limit_stay_apart() -> None:
    keys = {alert.dedup_key_from("x" * 300 + end) for end in ("a", "b", "c")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {alert.DEDUP_KEY_LIMIT}
    assert alert.dedup_key_from("x" * 300 + "a") in keys


def test_keys_that_differ_in_an_unstorable_character_stay_apart() -> None:
    assert len({alert.dedup_key_from(f"a{end}") for end in ("\0", "\ud800", "\ufffd")}) == 3


@given(st.text(st.characters(exclude_categories=[]), min_size=1))
def test_a_key_is_storable_and_the_same_every_time(text: str) -> None:
    key = alert.dedup_key_from(text)
    assert key == alert.dedup_key_from(text)
    assert 1 <= len(key) <= alert.DEDUP_KEY_LIMIT
    assert_is_storable(key)


def test_what_json_can_hold_is_stored_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, "é😀"], "b": {"c": 10**4000}}
    assert storable.storable(value) == value


def test_what_jsonb_cannot_hold_is_replaced() -> None:
    value = {"\0": "a\0b\ud83d", "nan": float("nan"), "inf": [float("-inf")]}
    assert storable.storable(value) == {"\ufffd": "a\ufffdb\ufffd", "nan": "NaN", "inf": ["-Infinity"]}


def test_an_integer_that_python_cannot_write_becomes_text() -> None:
    assert storable.storable(16**5000).startswith("0x1000")


def test_what_is_nested_too_deep_becomes_text() -> None:
    assert storable.storable([[["a\0", {"b": 1}]]], depth=2) == [['["a\\u0000", {"b": 1}]']]


def test_nesting_of_any_depth_is_storable() -> None:
    value: Any = "bottom"
    for _ in range(100_000):
        value = [value]
    assert_is_storable(storable.storable(value))


def test_a_long_text_of_what_is_too_deep_is_cut() -> None:
    assert len(storable.storable([["x" * 5000]], depth=1)[0]) == storable.DEEP_TEXT_LIMIT


@given(JSON_VALUES)
def test_any_json_value_becomes_storable(value: Any) -> None:
    stored = storable.storable(value)
    assert_is_storable(stored)
    assert storable.storable(stored) == stored


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("critical (P1)", "critical"),
        ("Sev 2 of 5", "high"),
        ("page P3 now", "medium"),
        ("w-a-r-n", "medium"),
        ("non-critical", None),
        ("not high, low", "low"),
        ("never urgent", None),
        ("low or high", "low"),
        ("no idea at all", None),
        ("critical" + " x" * 28, "critical"),  # 64 characters
        ("critical" + " x" * 28 + "x", None),
        ("fire sev", None),
        ("STRASSE ERROR", "high"),
        ("", None),
    ],
)
def test_the_first_known_word_of_a_text_is_its_severity(text: str, severity: str | None) -> None:
    assert alert.severity_within(text) == severity


@pytest.mark.parametrize(("length", "is_read"), [(alert.WORD_LIMIT, True), (alert.WORD_LIMIT + 1, False)])
def test_a_text_too_long_to_be_a_word_is_none(length: int, is_read: bool) -> None:
    assert alert.is_recovered("ok".ljust(length)) is is_read
    assert alert.severity_from("high".ljust(length)) == ("high" if is_read else None)


@pytest.mark.parametrize("text", ["x" * 300, "a\0" * 100, "\ud800" * 256, "\0"])
def test_a_key_that_cannot_be_kept_ends_in_the_hash_of_all_of_it(text: str) -> None:
    """Open incidents are found by it: it stays the same in every version."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    assert alert.dedup_key_from(text) == f"{text.replace(chr(0), '�').replace(chr(0xD800), '�')[:190]}:{digest}"
