"""API keys on the wire."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from app.core.vocabulary import ApiKeyScope
from app.schemas.base import Input, NameOf, Read
from app.schemas.types import EXAMPLE_TIME, CurrentPassword, GivenTime, Storable, Time

EXAMPLE_KEY = "ims_notARealKeyNotARealKeyNotARealKeyNotARealKeyNotAR"


def _each_once(scopes: list[ApiKeyScope]) -> list[ApiKeyScope]:
    if len(set(scopes)) < len(scopes):
        raise ValueError("must not name a scope twice")
    return scopes


KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), Storable]
Scopes = Annotated[list[ApiKeyScope], Field(min_length=1, max_length=len(ApiKeyScope)), AfterValidator(_each_once)]


class ApiKeyCreate(Input):
    """A new API key. The scope `admin` includes the others, and needs the `current_password`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "deploy bot", "scopes": ["read", "incidents:write"]}]}
    )
    read_only: ClassVar[frozenset[str]] = frozenset(
        {"id", "prefix", "created_by", "created_by_name", "created_at", "last_used_at", "key"}
    )

    name: KeyName
    scopes: Scopes
    expires_at: GivenTime | None = None
    current_password: CurrentPassword | None = None


class ApiKeyRead(Read):
    """An API key without the key itself. `prefix` is its start."""

    id: int = Field(examples=[1])
    name: str = Field(examples=["deploy bot"])
    scopes: list[ApiKeyScope] = Field(examples=[["read", "incidents:write"]])
    prefix: str = Field(examples=[EXAMPLE_KEY[:12]])
    created_by: int = Field(description="The account for which it acts", examples=[1])
    created_by_name: Annotated[str | None, NameOf("created_by")] = None
    created_at: Time = Field(examples=[EXAMPLE_TIME])
    expires_at: Time | None = Field(description="Null for a key that does not expire", examples=[EXAMPLE_TIME])
    last_used_at: Time | None = Field(description="Exact to a minute; null if never", examples=[EXAMPLE_TIME])


class ApiKeyMade(ApiKeyRead):
    """A new API key. `key` is shown only here: store it now."""

    key: str = Field(examples=[EXAMPLE_KEY])

    @classmethod
    def of(cls, record: Any, key: str) -> Self:
        """A key with its record."""
        return cls.model_validate({**ApiKeyRead.model_validate(record).model_dump(), "key": key})
