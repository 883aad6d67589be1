"""The types that all schemas share: what can be stored, can exist, can be meant."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.security import MAX_ID
from app.schemas.types import (
    MAX_JSON_DEPTH,
    MAX_JSON_INTEGER,
    MAX_TEXT,
    Email,
    Flag,
    FullName,
    GivenTime,
    Id,
    JsonObject,
    Password,
    PhoneNumber,
    RequiredText,
    ServiceName,
    Text,
    Title,
    Token,
    Word,
)

TEXTS = {
    "Email": Email,
    "FullName": FullName,
    "Password": Password,
    "PhoneNumber": PhoneNumber,
    "RequiredText": RequiredText,
    "ServiceName": ServiceName,
    "Text": Text,
    "Title": Title,
    "Token": Token,
    "Word": Word,
}


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refuses(kind: Any, value: Any) -> bool:
    try:
        read(kind, value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    "value",
    ["12345678@example.com\x00", "\x00", "12345678@example.com\ud800", "\udfff", 1, True, None, [], {}, b"\xff"],
)
def test_no_text_takes_what_the_database_could_not_hold(kind: Any, value: Any) -> None:
    assert refuses(kind, value)


@pytest.mark.parametrize("kind", [RequiredText, ServiceName, Title, Word])
@pytest.mark.parametrize("value", ["", " ", "\t\n", "\N{NO-BREAK SPACE}"])
def test_text_that_must_be_there_is_more_than_white_space(kind: Any, value: str) -> None:
    assert refuses(kind, value)


@pytest.mark.parametrize(
    ("kind", "longest"),
    [(FullName, 255), (Title, 255), (ServiceName, 100), (Word, 50), (Text, MAX_TEXT), (Token, 4096)],
)
def test_text_has_a_longest(kind: Any, longest: int) -> None:
    assert read(kind, "ä" * longest) == "ä" * longest
    assert refuses(kind, "ä" * (longest + 1))


def test_a_password_has_up_to_1024_characters() -> None:
    longest = ("correct horse battery " * 50)[:1024]
    assert read(Password, longest) == longest
    assert refuses(Password, longest + "a")


@pytest.mark.parametrize(
    "password",
    ["password", "Password1", "P@ssw0rd", "Passw0rd!", "12345678", "qwertyuiop", "iloveyou", "letmein1", "trustno1",
     "administrator", "aaaaaaaaaaaa", "a" * 1024, "11112222", "Welcome123"],
)  # fmt: skip
def test_a_common_password_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match="most common passwords"):
        read(Password, password)


@pytest.mark.parametrize("password", ["correct horse battery", "securepassword", "another password", "x7#kQ2!m"])
def test_a_password_that_is_on_no_list_is_taken(password: str) -> None:
    assert read(Password, password) == password


def test_no_password_takes_long_to_judge() -> None:
    """The estimate of zxcvbn takes over ten seconds for these."""
    began = time.perf_counter()
    for disguised in ("4@8({[<369&#!1|0$5+7%2" * 4, "a4@b8c({[<e3g69h#!i1l|0$5+7%2z" * 30):
        assert not refuses(Password, disguised)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("kind", [FullName, Title, ServiceName, Word, RequiredText])
def test_white_space_around_a_name_does_not_count(kind: Any) -> None:
    assert read(kind, " database\n") == "database"


@pytest.mark.parametrize("kind", [Password, Text])
def test_white_space_in_a_password_or_a_text_does_count(kind: Any) -> None:
    assert read(kind, "  12345678 ") == "  12345678 "


@pytest.mark.parametrize(
    ("password", "is_refused"), [("1234567", True), ("12345679", True), ("4bX$ 9zq", False), ("äöüßàéîõ", False)]
)
def test_a_password_has_eight_characters(password: str, is_refused: bool) -> None:
    assert refuses(Password, password) is is_refused


@pytest.mark.parametrize(
    ("given_as", "stored"),
    [
        ("user@example.com", "user@example.com"),
        ("User.Name+tag@EXAMPLE.com", "User.Name+tag@example.com"),
        ("user@\uff25XAMPLE.com", "user@example.com"),
        ("u\u0308ser@example.com", "\u00fcser@example.com"),
        ("user@xn--bcher-kva.example", "user@bücher.example"),
        ("admin@company.test", "admin@company.test"),
    ],
)
def test_one_address_has_one_form(given_as: str, stored: str) -> None:
    assert read(Email, given_as) == stored


@pytest.mark.parametrize(
    "address",
    [
        "",
        "user",
        "@example.com",
        "user@",
        "user@localhost",
        "user@example..com",
        "user@-example.com",
        "a b@example.com",
        "user@example.com\nBcc: all@example.com",
        "user@example.com, other@example.com",
        "User <user@example.com>",
        "user@[127.0.0.1]",
        " user@example.com",
        "user@" + "e" * 250 + ".com",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert refuses(Email, address)


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        ("+15550100", "+15550100"),
        ("0049 30 123", "+4930123"),
        ("+49 30/1234-56", "+4930123456"),
        ("+1 (555) 010-0199", "+15550100199"),
        ("+49 (0)151 12345678", "+4915112345678"),
    ],
)
def test_a_phone_number_may_be_written_in_many_ways(number: str, stored: str) -> None:
    assert read(PhoneNumber, number) == stored


@pytest.mark.parametrize("number", ["030/1234-56", "+1 23", "+999 12345678", "+49 1512345678901234"])
def test_a_phone_number_that_cannot_be_dialled_is_refused(number: str) -> None:
    assert refuses(PhoneNumber, number)


@pytest.mark.parametrize("number", ["", "12", "phone", "+", "++1555", "1555x0100", "+1555\n", "٠١٢٣٤", "1" * 33])
def test_what_is_no_phone_number_is_refused(number: str) -> None:
    assert refuses(PhoneNumber, number)


@pytest.mark.parametrize("value", [0, -1, MAX_ID + 1, 2**63, 10**400, True, "1", 1.0, None, float("nan")])
def test_an_id_is_a_number_that_can_exist(value: Any) -> None:
    assert refuses(Id, value)
    assert (read(Id, 1), read(Id, MAX_ID)) == (1, MAX_ID)


@pytest.mark.parametrize("value", [0, 1, "true", "no", "", None, 1.0])
def test_a_flag_is_true_or_false_and_nothing_like_it(value: Any) -> None:
    assert refuses(Flag, value)
    assert (read(Flag, True), read(Flag, False)) == (True, False)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-20T10:30:00Z", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20t10:30:00z", datetime(2026, 1, 20, 10, 30, tzinfo=UTC)),
        ("2026-01-20 10:30:00.5+05:30", datetime(2026, 1, 20, 5, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-20T00:30:00+01:00", datetime(2026, 1, 19, 23, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_is_kept_in_utc(text: str, time: datetime) -> None:
    found = read(GivenTime, text)
    assert (found, found.tzinfo) == (time, UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-20T10:30:00",
        "2026-01-20T10:30Z",
        "2026-01-20",
        "2026-01-20T10:30:00+99:99",
        "2026-01-20T24:30:00Z",
        "2026-02-30T10:30:00Z",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-01-20T10:30:00Z",
        "1768905000",
        "now",
        "",
        1768905000,
        1e300,
        True,
        None,
    ],
)
def test_a_time_that_is_not_written_out_with_its_zone_is_refused(value: Any) -> None:
    assert refuses(GivenTime, value)


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"deeper": value}
    return {"value": value}


@pytest.mark.parametrize(
    "value",
    [
        {"a\x00": 1},
        {"a": "\x00"},
        {"a": ["\ud800"]},
        {"\udfff": 1},
        {"a": {"b": [float("nan")]}},
        {"a": float("inf")},
        {"a": -float("inf")},
        {"a": MAX_JSON_INTEGER + 1},
        {"a": -(MAX_JSON_INTEGER + 1)},
        nested(MAX_JSON_DEPTH),
        nested(900),
        [],
        None,
        "{}",
    ],
    ids=lambda value: f"{value!s:.30}",
)
def test_json_that_the_database_could_not_hold_is_refused(value: Any) -> None:
    assert refuses(JsonObject, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from("abc"), JSON))
def test_all_other_json_is_kept_as_it_is(value: dict[str, Any]) -> None:
    assert read(JsonObject, value) == value
