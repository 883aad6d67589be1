"""What is read of the body that a monitoring system posts, and what becomes of the rest."""

import codecs
from typing import Any

import pytest

from app.services.incidents.alert import DESCRIPTION_LIMIT, UNKNOWN_SERVICE
from app.services.incidents.alert_body import MAX_VALUES, RAW_LIMIT, UNREADABLE_KEY, Unreadable, read, unreadable_alert
from tests.support.wording import assert_reads_well


@pytest.mark.parametrize(
    ("content", "objects"),
    [
        (b'{"a": 1}', [{"a": 1}]),
        (b' \n{"a": 1}\x00 ', [{"a": 1}]),
        (b'{"a": 1}{"b": 2}', [{"a": 1}, {"b": 2}]),
        (b'{"a": 1},\n{"b": 2},', [{"a": 1}, {"b": 2}]),
        (b'\x1e{"a": 1}\n\x1e{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        (b'[{"a": 1}, {"b": 2}]{"c": 3}', [{"a": 1}, {"b": 2}, {"c": 3}]),
        (codecs.BOM_UTF8 + b'{"a": 1}', [{"a": 1}]),
        ('{"a": "ü"}'.encode("utf-16"), [{"a": "ü"}]),
        (codecs.BOM_UTF16_BE + '{"a": "ü"}'.encode("utf-16-be"), [{"a": "ü"}]),
        (b'{"a": "two\nlines"}', [{"a": "two\nlines"}]),
        (b'{"a": "\xff"}', [{"a": "\udcff"}]),
        (codecs.BOM_UTF16_LE + b"{\x00}\x00\x41", [{}]),
    ],
)
def test_every_object_of_a_body_is_read_in_its_order(content: bytes, objects: list[dict[str, Any]]) -> None:
    assert read(content).objects == objects


@pytest.mark.parametrize(
    ("content", "objects", "raw", "reason"),
    [
        (b"", [], "", "it is empty"),
        (b" \n", [], " \n", "it is empty"),
        (b"[]", [], "[]", "empty array"),
        (codecs.BOM_UTF8 + b"x", [], "x", "Expecting value in line 1, column 1"),
        (b"5", [], "5", "it is not a JSON object"),
        (b'{"a": 1} "x" {"b": 2}', [{"a": 1}], '"x" {"b": 2}', "it is not a JSON object"),
        (b'[{"a": 1}, 5] {"b": 2}', [{"a": 1}], '[{"a": 1}, 5] {"b": 2}', "item of the array"),
        (b'{"a": 1}\n{"b": x}', [{"a": 1}], '{"b": x}', "Expecting value in line 2, column 7"),
        (b'{"a": 1} {"b": ' + b"9" * 5_000 + b"}", [{"a": 1}], '{"b": ' + "9" * 5_000 + "}", "too many digits"),
        (b"[" * 100_000, [], "[" * 100_000, "nested too deeply"),
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_kept_with_the_reason(
    content: bytes, objects: list[dict[str, Any]], raw: str, reason: str
) -> None:
    body = read(content)
    assert body.objects == objects
    assert body.unreadable is not None
    assert body.unreadable.raw == raw
    assert reason in body.unreadable.reason
    assert "XX" not in body.unreadable.reason
    assert "json" not in body.unreadable.reason


@pytest.mark.parametrize("content", [b'{"a": 1}', b'[{"a": 1}]', b"[]{}"])
def test_a_body_that_is_read_whole_leaves_nothing_unreadable(content: bytes) -> None:
    assert read(content).unreadable is None


@pytest.mark.parametrize(
    "content", [b"[" + b"{}," * (MAX_VALUES // 2) + b"{}]", b"{" + b"," * MAX_VALUES + b"}", b"[" * (MAX_VALUES + 1)]
)
def test_a_body_of_too_many_values_is_not_read_at_all(content: bytes) -> None:
    body = read(content)
    assert body.objects == []
    assert body.unreadable == Unreadable(content.decode(), f"it holds more than {MAX_VALUES} values")


def test_only_values_are_counted_not_letters() -> None:
    assert read(b'{"a": "' + b"X" * (MAX_VALUES + 1) + b'"}').unreadable is None


def test_as_many_values_as_there_may_be_are_read() -> None:
    content = b"[" + b"{}," * (MAX_VALUES // 2 - 1) + b"{}" + b"]"
    assert content.count(b",") + content.count(b"[") + content.count(b"{") == MAX_VALUES
    assert len(read(content).objects) == MAX_VALUES // 2


def test_all_unreadable_alerts_of_a_source_share_one_incident() -> None:
    alert = unreadable_alert("elastic", Unreadable("oops", "it is not a JSON object"))
    assert (alert.source, alert.dedup_key, alert.is_firing) == ("elastic", UNREADABLE_KEY, True)
    assert (alert.severity, alert.service) == (None, UNKNOWN_SERVICE)
    assert alert.title.endswith(" elastic")
    assert_reads_well(alert.title)
    assert alert.unreadable_because == "it is not a JSON object"
    assert alert.metadata == {"reason": "it is not a JSON object", "raw": "oops"}


def test_an_unreadable_alert_shows_the_reason_and_what_was_sent() -> None:
    description = unreadable_alert("elastic", Unreadable("oops", "it is not a JSON object")).description or ""
    said, _, raw = description.partition("\n\n")
    assert raw == "oops"
    assert "it is not a JSON object" in said
    assert_reads_well(said)


def test_of_a_long_unreadable_body_the_beginning_is_kept() -> None:
    alert = unreadable_alert("elastic", Unreadable("\0" + "x" * RAW_LIMIT, "it is nested too deeply"))
    assert alert.metadata["raw"] == "\ufffd" + "x" * (RAW_LIMIT - 1)
    assert len(alert.description or "") == DESCRIPTION_LIMIT
