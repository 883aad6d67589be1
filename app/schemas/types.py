"""Shared field types: text that PostgreSQL can store, ids that can exist, times with a zone."""

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.core.bounded_json import size_of
from app.core.channel import CHANNELS
from app.core.common_passwords import is_common
from app.core.config import get_settings
from app.core.phone import e164
from app.core.security import MAX_ID

MAX_TEXT = 20_000
MAX_WORDS = 6  # of a search: each costs the database as much as all others together may
MAX_METADATA_BYTES = 65_536  # for an incident's metadata as compact UTF-8 JSON; a larger alert is cut
# At least the depth of an alert's metadata, so that people can send it back. PostgreSQL writes 1e300 in full.
MAX_JSON_DEPTH = 70
MAX_JSON_INTEGER = 2**14_000
TOO_LARGE = f"must have at most {MAX_METADATA_BYTES} bytes as compact UTF-8 JSON"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
EXAMPLE_TIME = "2026-01-20T10:30:00Z"

# Reserved for multicast DNS, but many companies use it for internal mail.
if "local" in SPECIAL_USE_DOMAIN_NAMES:
    SPECIAL_USE_DOMAIN_NAMES.remove("local")


def storable(text: str) -> str:
    """Refuse what PostgreSQL's text cannot store. Pydantic itself refuses lone surrogates."""
    if "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


def _deliverable_in_form(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise ValueError(f"is not an e-mail address: {error}") from error


def _as_stored(address: str) -> str:
    """An e-mail address in its canonical form; any other text unchanged."""
    try:
        return _deliverable_in_form(address)
    except ValueError:
        return address


def _dialable(number: str) -> str:
    """A telephone number as E.164. Without a country code, it belongs to `PHONE_DEFAULT_REGION`."""
    return e164(number, get_settings().phone_default_region)


def storable_json(value: Any, depth: int = 0) -> Any:
    """Refuse JSON that PostgreSQL's JSONB cannot store, or that is nested too deeply."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"must not be nested deeper than {MAX_JSON_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            _storable_scalar(key)
            storable_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            storable_json(item, depth + 1)
    else:
        _storable_scalar(value)
    return value


def _storable_scalar(value: Any) -> None:
    if isinstance(value, str):
        storable(value)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("must not contain lone surrogates")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain NaN or Infinity")
    elif isinstance(value, int) and abs(value) > MAX_JSON_INTEGER:
        raise ValueError("must not contain integers of more than 4,000 digits")


def _written_out(time: Any) -> Any:
    """Refuse anything but RFC 3339, such as a count of seconds, whose unit would be a guess."""
    if not (isinstance(time, str) and RFC_3339.fullmatch(time)):
        raise ValueError(f"must be an RFC 3339 time with its zone, such as {EXAMPLE_TIME}")
    return time


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


def _known_channel(name: str) -> str:
    if name not in CHANNELS:
        raise ValueError(f"is not a channel. Use one of {', '.join(CHANNELS.names())}")
    return name


def web_address(url: str) -> str:
    """An http or https URL without credentials. Its host is resolved when it is called."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:
        raise ValueError("must be an http or https URL") from error
    if not is_good or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or a password")
    return url


class _OneOfTheChannels:
    """Lists the channels that are registered when the schema is made."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core_schema), "enum": CHANNELS.names()}


def _not_common(password: str) -> str:
    if is_common(password):
        raise ValueError("is one of the most common passwords. Use another one, such as a few random words")
    return password


def is_small(value: Any) -> bool:
    """True of JSON that has at most MAX_METADATA_BYTES, numbers being written out as PostgreSQL does."""
    return size_of(value, MAX_METADATA_BYTES) <= MAX_METADATA_BYTES


def _few_words(text: str) -> str:
    words = len(text.split())
    if words > MAX_WORDS:
        raise ValueError(f"has {words} words. Use at most {MAX_WORDS}")
    return text


def _small_object(value: dict[str, Any]) -> dict[str, Any]:
    if not is_small(value):
        raise ValueError(TOO_LARGE)
    return value


Storable = AfterValidator(storable)
ChannelName = Annotated[str, AfterValidator(_known_channel), _OneOfTheChannels()]
JsonObject = Annotated[dict[str, Any], AfterValidator(storable_json)]
Small = AfterValidator(_small_object)
SmallJsonObject = Annotated[JsonObject, Small]
SearchWords = Annotated[str, Field(max_length=200), Storable, AfterValidator(_few_words)]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    Storable,
    AfterValidator(_deliverable_in_form),
    Field(json_schema_extra={"format": "email"}),
]
Username = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_as_stored)]
CurrentPassword = Annotated[str, StringConstraints(max_length=1024), Storable]  # may have been set under older rules
Password = Annotated[str, StringConstraints(min_length=8, max_length=1024), Storable, AfterValidator(_not_common)]
WebAddress = Annotated[str, StringConstraints(max_length=2048), Storable, AfterValidator(web_address)]
FullName = Annotated[str, StringConstraints(max_length=255, strip_whitespace=True), Storable]
PhoneNumber = Annotated[
    str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()./-]{2,30}$", max_length=32), AfterValidator(_dialable)
]
Title = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), Storable]
ServiceName = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), Storable]
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT), Storable]
RequiredText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, strip_whitespace=True), Storable]
Word = Annotated[str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True), Storable]
Token = Annotated[str, StringConstraints(min_length=1, max_length=4096), Storable]
Flag = Annotated[bool, Field(strict=True)]
Id = Annotated[int, Field(ge=1, le=MAX_ID, strict=True)]
Time = AwareDatetime
GivenTime = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
