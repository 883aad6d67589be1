"""How much an incident keeps of what its alert said."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.bounded_json import size_of
from app.schemas.types import MAX_METADATA_BYTES
from app.services.incidents.alert_metadata import metadata_from

MEBIBYTE = 1024 * 1024
TEXTS = st.text(st.characters(exclude_categories=[]))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_body_that_fits_is_kept_whole() -> None:
    body = {"message": "x" * (MAX_METADATA_BYTES - len('{"message":""}'))}
    assert metadata_from(body) == body
    assert len(compact(body)) == MAX_METADATA_BYTES


def test_a_body_that_is_too_large_is_cut_and_marked() -> None:
    body = {"message": "x" * MAX_METADATA_BYTES, "rule": {"name": "n"}, "hits": list(range(100_000)), "last": 1}
    kept = metadata_from(body)
    assert list(kept) == ["message", "rule", "hits", "last", "_truncated"]
    assert (kept["rule"], kept["last"], kept["_truncated"]) == ({"name": "n"}, 1, True)
    assert kept["message"].endswith("x…")
    assert kept["hits"] == list(range(len(kept["hits"])))
    assert len(kept["message"]) > 20_000
    assert len(kept["hits"]) > 3_000
    assert MAX_METADATA_BYTES * 0.9 < len(compact(kept)) <= MAX_METADATA_BYTES


def test_a_number_counts_as_long_as_the_database_writes_it() -> None:
    kept = metadata_from({"values": [1e300] * 1_000})
    assert kept["_truncated"] is True
    assert 200 < len(kept["values"]) <= MAX_METADATA_BYTES // 301


@given(JSON_VALUES)
def test_a_size_is_that_of_compact_json(value: Any) -> None:
    try:
        written = compact(value)
    except UnicodeEncodeError:
        return
    if b"e" not in written and b"NaN" not in written and b"Infinity" not in written and b"\\u0000" not in written:
        assert size_of(value, 10**9) == len(written)


@pytest.mark.slow
@given(st.dictionaries(TEXTS, JSON_VALUES), st.integers(1, 3))
def test_what_is_kept_of_any_body_fits_and_can_be_stored(body: dict[str, Any], times: int) -> None:
    filler = {f"filler{n}": "\x01ü😀" * 9_000 for n in range(times)}
    written = json.dumps(metadata_from({**filler, **body}), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    assert len(written.encode()) <= MAX_METADATA_BYTES


@pytest.mark.parametrize(
    "body",
    [
        {"a": "x" * 8 * MEBIBYTE},
        {"a": [1] * MEBIBYTE},
        {"a": [[]] * MEBIBYTE},
        {str(n): n for n in range(500_000)},
        {"a": {str(n): {} for n in range(500_000)}, "b": "\0" * 8 * MEBIBYTE},
    ],
)
def test_a_very_large_body_is_cut_in_little_time(body: dict[str, Any]) -> None:
    began = time.process_time()
    kept = metadata_from(body)
    assert time.process_time() - began < 2
    assert len(compact(kept)) <= MAX_METADATA_BYTES
