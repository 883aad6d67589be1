"""What every schema has in common."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from app.core.vocabulary import ErrorCode

MAX_FIELDS = 100  # far more than any real body; naming a hundred thousand unknown fields would take seconds


def refused(reason: str, *way: str | int) -> ValidationError:
    """An error in one part of a value: what is wrong, and the path to it."""
    kind = PydanticCustomError("refused", "{reason}", {"reason": reason})
    return ValidationError.from_exception_data("", [InitErrorDetails(type=kind, loc=way, input=None)])


class Input(BaseModel):
    """A request body. An unknown field is an error.

    `read_only` names fields of the answers that a client may send back but not set: they are ignored.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    read_only: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _drop_read_only(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > MAX_FIELDS:
            raise ValueError(f"must not have more than {MAX_FIELDS} fields")
        if isinstance(data, dict) and cls.read_only & data.keys():
            return {key: value for key, value in data.items() if key not in cls.read_only}
        return data


class Update(Input):
    """A partial update: absent fields stay as they are, null clears."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Leave out the defaults: a client that filled them in would overwrite stored values."""
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema)["properties"].values():
            field.pop("default", None)
        return schema

    def changes(self) -> dict[str, Any]:
        """The fields that the client sent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Read(BaseModel):
    """An answer, read from an object's attributes."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)


@dataclass(frozen=True)
class NameOf:
    """Marks a field as the display name of the user whose id is in another field."""

    field: str


@dataclass(frozen=True)
class DocumentedAsList:
    """Names the model of a list's items: they are validated on input and answered as stored."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(core_schema.list_schema(self.model.__pydantic_core_schema__))


class Message(BaseModel):
    """A sentence for people."""

    msg: str = Field(examples=["If the address has an account, a mail is on its way."])


class FieldError(BaseModel):
    """One thing that is wrong with the input."""

    pointer: str = Field(examples=["/severity"], description="JSON pointer into the body, or the parameter's name")
    message: str = Field(examples=['severity "urgent" is not valid. Use critical, high, medium or low.'])


class Problem(BaseModel):
    """An RFC 9457 problem. `code` is stable for programs; `message` repeats `detail`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The input is invalid."])
    instance: str = Field(examples=["/v1/incidents"])
    code: ErrorCode = Field(examples=["validation_error"])
    message: str = Field(examples=["The input is invalid."])
    request_id: str = Field(examples=["3f2b1a907c1d4f6e8a530242ac120002"])
    errors: list[FieldError] | None = None
