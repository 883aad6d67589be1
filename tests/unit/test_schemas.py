"""What every request body has in common, and the bodies about accounts and channels."""

from typing import Any, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from app.schemas.base import MAX_FIELDS, Input, Update
from app.schemas.notification import PreferenceUpdate, QuietHours
from app.schemas.user import Credentials, LoginBody, Signup, UserCreate, UserUpdate, UserUpdateMe

LOGIN: TypeAdapter[Credentials] = TypeAdapter(LoginBody)
RIGHTS = {"is_superuser": True, "is_active": True}


class Body(Input):
    read_only: ClassVar[frozenset[str]] = frozenset({"id"})

    name: str = ""


class Change(Update):
    name: str | None = "unset"
    note: str | None = None


def test_a_field_that_is_only_answered_is_dropped_unread() -> None:
    assert Body.model_validate({"id": {"any": "thing"}, "name": "a"}).model_dump() == {"name": "a"}


@pytest.mark.parametrize(
    "body", [{"nam": "a"}, {"ID": 1}, {"name": "a", "": 1}, dict.fromkeys(map(str, range(500)), 1)]
)
def test_any_other_unknown_field_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Body.model_validate(body)


def test_a_body_with_very_many_fields_is_one_error() -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate({f"field-{number}": 1 for number in range(MAX_FIELDS + 1)})
    assert caught.value.error_count() == 1


def test_what_was_wrong_is_never_in_the_error_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        Signup.model_validate({"email": "e", "password": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "changes"), [({}, {}), ({"name": None}, {"name": None}), ({"note": "a"}, {"note": "a"})]
)
def test_an_update_changes_what_was_named_and_null_is_not_absent(body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert Change.model_validate(body).changes() == changes


def test_signing_up_takes_rights_and_ignores_them() -> None:
    account = {"email": "user@example.com", "password": "securepassword"}
    assert Signup.model_validate({**account, **RIGHTS}) == Signup.model_validate(account)
    assert UserCreate.model_validate({**account, **RIGHTS}).is_superuser


def test_only_an_administrator_changes_rights() -> None:
    assert UserUpdateMe.model_validate(RIGHTS).changes() == {}
    assert UserUpdate.model_validate(RIGHTS).changes() == RIGHTS


@pytest.mark.parametrize(
    "form",
    [
        b"username=user%40example.com&password=p%26q",
        b"grant_type=password&username=user%40example.com&password=p%26q&scope=&client_id=&client_secret=",
    ],
)
def test_the_password_form_says_the_same_as_json(form: bytes) -> None:
    credentials = LOGIN.validate_python(form)
    assert (credentials.username, credentials.password) == ("user@example.com", "p&q")


@pytest.mark.parametrize(
    "form",
    [b"", b"username=a", b"password=b", b"username=a&password=b&x=y", b"&" * 200_000, b"a=b&" * 5000, b"\xff=\xff"],
)
def test_a_form_without_credentials_is_refused(form: bytes) -> None:
    with pytest.raises(ValidationError):
        LOGIN.validate_python(form)


def test_another_grant_is_refused() -> None:
    with pytest.raises(ValidationError):
        Credentials.model_validate({"username": "a", "password": "b", "grant_type": "client_credentials"})


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, None),
        ({"enabled": True}, True),
        ({"enabled": False}, False),
        ({"is_enabled": True}, True),
        ({"is_enabled": False}, False),
        ({"enabled": True, "is_enabled": True}, True),
        ({"enabled": False, "is_enabled": False}, False),
    ],
)
def test_a_channel_is_switched_by_either_name(said: dict[str, bool], expected: bool | None, current: bool) -> None:
    assert PreferenceUpdate(**said).switched(current) is (current if expected is None else expected)


@pytest.mark.parametrize("current", [True, False])
@pytest.mark.parametrize("edited", ["enabled", "is_enabled"])
def test_of_two_names_the_one_that_was_edited_counts(current: bool, edited: str) -> None:
    said = {"enabled": current, "is_enabled": current, edited: not current}
    assert PreferenceUpdate(**said).switched(current) is not current


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Etc/GMT+3", "America/Argentina/Buenos_Aires"])
def test_a_time_zone_is_a_name_of_the_iana_database(name: str) -> None:
    assert QuietHours.model_validate({"from": "22:00", "until": "07:00", "time_zone": name}).time_zone == name


@pytest.mark.parametrize("name", ["localtime", "posix/Europe/Berlin", "right/UTC", "posixrules", "europe/berlin", ""])
def test_what_a_machine_calls_its_own_zone_is_none(name: str) -> None:
    with pytest.raises(ValidationError, match="IANA"):
        QuietHours.model_validate({"from": "22:00", "until": "07:00", "time_zone": name})
