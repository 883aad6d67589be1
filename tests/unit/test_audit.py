"""How an entry of the audit log is sealed: every part counts, and no value can be guessed from its digest."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.audit_actions import AuditAction
from app.core.bounded_json import TRUNCATED, size_of
from app.core.vocabulary import UserRole
from app.services.audit import (
    HIDDEN,
    MAX_CHANGE_BYTES,
    Entry,
    Kept,
    canonical,
    change_of,
    content_of,
    digest_of,
    digest_of_entry,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENTRY = Entry(
    action="user.updated",
    actor_id=1,
    api_key_id=2,
    session_id="3f2b1a90-7c1d-41ef-9a53-0242ac120002",
    request_id="request",
    object_type="user",
    object_id="7",
    size=10,
    digests={"email": "aa", "role": "bb"},
)
OTHERS: dict[str, Any] = {
    "action": "user.deleted",
    "actor_id": 2,
    "api_key_id": None,
    "session_id": None,
    "request_id": "other",
    "object_type": "policy",
    "object_id": "8",
    "size": 11,
    "digests": {"email": "aa", "role": "bc"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("field", OTHERS)
def test_every_field_of_an_entry_is_in_its_digest(field: str) -> None:
    assert digest_of_entry(replace(ENTRY, **{field: OTHERS[field]})) != digest_of_entry(ENTRY)


def test_every_field_has_another_value_here() -> None:
    assert OTHERS.keys() == set(Entry.__slots__)


@pytest.mark.parametrize(
    "other",
    [
        replace(ENTRY, object_type="user7", object_id=""),
        replace(ENTRY, actor_id=None, api_key_id=1),
        replace(ENTRY, object_id=None),
        replace(ENTRY, object_id="null"),
        replace(ENTRY, digests={"email": "aa"}),
        replace(ENTRY, digests={"email": "bb", "role": "aa"}),
    ],
)
def test_fields_cannot_trade_their_text(other: Entry) -> None:
    assert digest_of_entry(other) != digest_of_entry(ENTRY)


def test_the_order_of_the_digests_does_not_count() -> None:
    assert digest_of_entry(replace(ENTRY, digests={"role": "bb", "email": "aa"})) == digest_of_entry(ENTRY)


def test_the_content_covers_the_id_and_the_microsecond() -> None:
    digest = digest_of_entry(ENTRY)
    contents = {
        content_of(digest, 5, AT),
        content_of(digest, 6, AT),
        content_of(digest, 5, AT + timedelta(microseconds=1)),
        content_of(digest_of_entry(replace(ENTRY, size=11)), 5, AT),
    }
    assert len(contents) == 4


def test_a_time_is_the_same_in_every_zone() -> None:
    digest = digest_of_entry(ENTRY)
    assert content_of(digest, 5, AT) == content_of(digest, 5, AT.astimezone())


def test_the_same_value_has_another_digest_with_another_salt() -> None:
    assert digest_of(Kept(b"a" * 16, "1")) != digest_of(Kept(b"b" * 16, "1"))
    assert digest_of(Kept(b"a" * 16, "1")) != digest_of(Kept(b"a" * 16, "2"))


@given(JSON, JSON)
def test_a_change_is_stored_as_json_of_bounded_size(before: Any, after: Any) -> None:
    change = change_of("field", before, after)
    assert change.keys() <= {"from", "to", TRUNCATED}
    assert size_of(change, MAX_CHANGE_BYTES) <= MAX_CHANGE_BYTES
    assert "\x00" not in canonical(change)
    canonical(change).encode()


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_equal_values_are_written_alike(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (AT, "2026-01-02T03:04:05.678901+00:00"),
        (time(22, 30), "22:30:00"),
        (UserRole.VIEWER, "viewer"),
        ({"b", "a"}, ["a", "b"]),
        (True, True),
        (None, None),
        ({"a": [1, 2.5]}, {"a": [1, 2.5]}),
        (b"a", "b'a'"),
    ],
)
def test_a_value_is_kept_as_json(value: Any, kept: Any) -> None:
    assert change_of("field", None, value) == {"from": None, "to": kept}


def test_a_value_that_is_too_large_is_cut_and_marked() -> None:
    change = change_of("body", "short", "x" * MAX_CHANGE_BYTES)
    assert change[TRUNCATED] is True
    assert change["from"] == "short"
    assert change["to"].startswith("xxx")
    assert TRUNCATED not in change_of("body", "short", "x" * (MAX_CHANGE_BYTES // 2))


@pytest.mark.parametrize("field", sorted(HIDDEN))
def test_a_field_named_like_a_secret_keeps_nothing(field: str) -> None:
    assert change_of(field, "old", "new") == {"from": None, "to": None}


def test_actions_are_a_noun_and_what_was_done_to_it() -> None:
    for action in AuditAction:
        noun, _, verb = action.value.partition(".")
        assert noun.replace("_", "").isalpha()
        assert verb.replace("_", "").isalpha()
        assert action.name == action.value.replace(".", "_").upper()
        assert len(action.value) <= 50
