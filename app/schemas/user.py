"""Users, and logging in."""

from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, ConfigDict, Field

from app.core.vocabulary import UserRole
from app.schemas.base import MAX_FIELDS, Input, Read, Update
from app.schemas.types import (
    EXAMPLE_TIME,
    CurrentPassword,
    Email,
    Flag,
    FullName,
    Password,
    PhoneNumber,
    Time,
    Token,
    Username,
)

READ_ONLY = frozenset({"id", "pending_email", "warnings", "created_at", "updated_at"})
NOT_ONES_OWN = frozenset({"is_superuser", "is_active", "role", "is_address_proved"})
MAX_FORM_BYTES = 32 * 1024  # reading a form takes a hundred times as long as sending it
EXAMPLE_EMAIL = "user@example.com"
EXAMPLE_TOKEN = "dGhpcyBpcyBub3QgYSByZWFsIHRva2Vu"  # noqa: S105 - "this is not a real token" in base64


class Signup(Input):
    """A new account for oneself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": EXAMPLE_EMAIL, "password": "securepassword", "full_name": "Ada Lovelace"}]
        }
    )
    read_only: ClassVar[frozenset[str]] = READ_ONLY | NOT_ONES_OWN

    email: Email
    password: Password
    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None


class UserCreate(Input):
    """A new account, made by an administrator. Its address counts as confirmed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "new@example.com", "password": "securepassword"}]}
    )
    read_only: ClassVar[frozenset[str]] = READ_ONLY | {"is_address_proved"}

    email: Email
    password: Password
    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None
    is_active: Flag = True
    is_superuser: Flag = False
    role: UserRole = UserRole.RESPONDER


class UserUpdateMe(Update):
    """What users may change in their own account. Rights are ignored.

    A new `email` or `password` needs the `current_password`. A new `email` takes effect once its code is confirmed.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"full_name": "Ada King"}]})
    read_only: ClassVar[frozenset[str]] = READ_ONLY | NOT_ONES_OWN

    email: Email = Field(default="")
    password: Password = Field(default="")
    current_password: CurrentPassword | None = None
    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None

    def changes(self) -> dict[str, Any]:
        return {name: value for name, value in super().changes().items() if name != "current_password"}


class UserUpdate(Update):
    """What an administrator may change in an account. An address set here counts as confirmed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"full_name": "Ada King"}]})
    read_only: ClassVar[frozenset[str]] = READ_ONLY

    email: Email = Field(default="")
    password: Password = Field(default="")
    full_name: FullName | None = None
    phone_number: PhoneNumber | None = None
    is_active: Flag = True
    is_superuser: Flag = False
    role: UserRole = UserRole.RESPONDER
    is_address_proved: Flag = True


class UserRead(Read):
    """A user. `warnings` say what will not work after a change."""

    id: int = Field(examples=[1])
    email: str = Field(examples=[EXAMPLE_EMAIL])
    full_name: str | None = Field(examples=["Ada Lovelace"])
    phone_number: str | None = Field(examples=["+15550100"])
    is_active: bool
    is_superuser: bool
    role: UserRole
    is_address_proved: bool = Field(
        description="False until the address is confirmed: policies that name it do not page this account"
    )
    pending_email: str | None = Field(description="The address that replaces `email` once its code is confirmed")
    warnings: list[str] = []
    created_at: Time = Field(examples=[EXAMPLE_TIME])
    updated_at: Time = Field(examples=[EXAMPLE_TIME])

    @classmethod
    def with_warnings(cls, user: object, warnings: list[str]) -> Self:
        """A user with warnings."""
        return cls.model_validate(user).model_copy(update={"warnings": warnings})


class DirectoryEntry(Read):
    """A colleague, as every responder sees them."""

    id: int = Field(examples=[1])
    name: str = Field(validation_alias="display_name", examples=["Ada Lovelace"])


def _form_or_json(value: Any) -> Any:
    """Parse the OAuth2 password form, which arrives as raw bytes. JSON is already parsed."""
    if isinstance(value, bytes):
        if len(value) > MAX_FORM_BYTES:
            raise ValueError(f"must not be longer than {MAX_FORM_BYTES} bytes")
        return dict(parse_qsl(value.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    return value


class Credentials(Input):
    """Address and password. The other fields are the OAuth2 password form's (RFC 6749, section 4.3.2), and unread."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": EXAMPLE_EMAIL, "password": "securepassword"}]}
    )

    username: Username
    password: str = Field(max_length=1024)
    grant_type: Literal["password", ""] | None = None
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | None = None


class LoginForm(Credentials):
    """The same as the OAuth2 password form sends it. A name of its own: generated clients tell the two apart by it."""


LoginBody = Annotated[Credentials, BeforeValidator(_form_or_json)]


class RefreshRequest(Input):
    """A refresh token to spend or to revoke."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"refresh_token": EXAMPLE_TOKEN}]})

    refresh_token: Token


class TokenPair(Read):
    """An access token, and the single-use refresh token for the next pair."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of the scheme
    expires_in: int = Field(description="Seconds until the access token expires", examples=[3600])
    refresh_token: str


class PasswordReset(Input):
    """A new password, with the token from the mail."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": EXAMPLE_TOKEN, "new_password": "anothersecurepassword"}]}
    )

    token: Token
    new_password: Password
